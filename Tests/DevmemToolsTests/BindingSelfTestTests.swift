import SystemPackage
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BindingSelfTestTests {
    private func refused(_ errno: Errno, _ message: String? = nil) -> BindingTrial.Outcome {
        .refused(DevmemError(.netlink, call: "bind-rx", errno: errno, message: message))
    }

    @Test func bindingMustSucceed() {
        #expect(BindingTrial.bind.fault(in: .accepted) == nil)
        let fault = BindingTrial.bind.fault(in: refused(.notSupportedOnSocket, "no"))
        #expect(fault?.errno == .notSupportedOnSocket && fault?.message == "no")
    }

    @Test(arguments: [BindingTrial.deactivate, .unnamed, .unsplit])
    func whatMustBeRefusedMustNotSucceed(trial: BindingTrial) {
        let fault = trial.fault(in: .accepted)
        #expect(fault?.description == "\(trial.rawValue): it succeeded but must be refused")
        // A refusal must have the expected reason.
        #expect(trial.fault(in: refused(.ioError))?.message?.contains("wrong reason") == true)
        #expect(trial.fault(in: refused(.notPermitted)) != nil)
        #expect(trial.fault(in: refused(.invalidArgument)) == nil)
    }

    @Test func theKernelsWordsCount() {
        let unsplit = BindingTrial.unsplit
        #expect(unsplit.fault(in: refused(.invalidArgument, "tcp-data-split is disabled")) == nil)
        #expect(unsplit.fault(in: refused(.invalidArgument, "hds-thresh is not zero")) != nil)
        let busy = "requested channel counts are too low for existing memory provider setting (7)"
        #expect(BindingTrial.deactivate.fault(in: refused(.invalidArgument, busy)) == nil)
        #expect(
            BindingTrial.deactivate.fault(in: refused(.invalidArgument, "no such count")) != nil)
        #expect(BindingTrial.unnamed.fault(in: refused(.invalidArgument, "any")) == nil)
    }

    @Test(
        arguments: [
            (ChannelCounts(combined: 8), [4, 5, 6, 7], ChannelCounts(combined: 4)),
            (ChannelCounts(combined: 8), [7], ChannelCounts(combined: 7)),
            (ChannelCounts(combined: 8), [0, 1], ChannelCounts(combined: 1)),
            (ChannelCounts(combined: 8), [0], nil),
            (ChannelCounts(combined: 8), [], nil),
            (
                ChannelCounts(rx: 4, tx: 4, combined: 0), [2, 3],
                ChannelCounts(rx: 2, tx: 4, combined: 0)
            ),
            (
                ChannelCounts(rx: 4, tx: 0, combined: 2), [5],
                ChannelCounts(rx: 3, tx: 0, combined: 2)
            ),
            (ChannelCounts(rx: 4, tx: 0, combined: 2), [1], ChannelCounts(combined: 1)),
            (ChannelCounts(rx: 4, tx: 0, combined: 0), [1], nil),
        ] as [(ChannelCounts, [UInt32], ChannelCounts?)])
    func fewerChannelsLeaveABoundQueueOut(
        now: ChannelCounts, queues: [UInt32], fewer: ChannelCounts?
    ) {
        #expect(BindingSelfTest.fewer(now, than: queues) == fewer)
    }
}

@Suite struct SendChunkTests {
    @Test func chunksCoverARangeInOrder() {
        let range = MemoryRange(offset: 100, count: 10)
        #expect(
            range.chunks(of: 4, atMost: 9) == [
                .init(offset: 100, count: 4), .init(offset: 104, count: 4),
                .init(offset: 108, count: 2),
            ])
        #expect(range.chunks(of: 4, atMost: 2).count == 2)
        #expect(range.chunks(of: 4, atMost: 0).isEmpty)
        #expect(range.chunks(of: 10, atMost: 9) == [range])
        #expect(range.chunks(of: .max, atMost: 9) == [range])
        #expect(MemoryRange(offset: 5, count: 0).chunks(of: 4, atMost: 9).isEmpty)
    }
}

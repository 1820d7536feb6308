import SystemPackage
import Testing

@testable import DevmemCore

/// Queues of one binding share a DMA device; a NIC of several PCI functions has more than one.
@Suite struct DMAGroupTests {
    private func snapshot(_ devices: Int, contexts: [RSSContext] = []) -> NICSnapshot {
        let queues = Array(0..<8 as Range<UInt32>)
        return NICSnapshot(
            rings: RingSettings(headerSplit: .off, splitThreshold: nil),
            receiveQueues: queues.map { QueueInfo(id: $0, type: .rx) },
            dmaGroups: dmaGroups(of: queues) { some in
                Set(some.map { Int($0) % devices }).count == 1
            }, contexts: contexts, ntuple: nil, ruleTable: nil)
    }

    private func plan(_ choice: QueueChoice, _ snapshot: NICSnapshot) throws -> SteeringPlan {
        try SteeringPlan(
            for: SteeringRequest(queues: choice, flows: []), on: snapshot, interface: "eth1")
    }

    @Test func queuesAreGrouped() {
        #expect(snapshot(1).dmaGroups.isEmpty)
        #expect(snapshot(2).dmaGroups == [[0, 2, 4, 6], [1, 3, 5, 7]])
        #expect(snapshot(3).dmaGroups == [[0, 3, 6], [1, 4, 7], [2, 5]])
        // Without CAP_NET_ADMIN the answer is unknown.
        #expect(dmaGroups(of: [0, 1]) { _ in nil }.isEmpty)
        #expect(dmaGroups(of: []) { _ in false }.isEmpty)
    }

    @Test func automaticChoiceTakesThoseThatShareADevice() throws {
        #expect(try plan(.automatic(1), snapshot(2)).queues == [7])
        #expect(try plan(.automatic(2), snapshot(2)).queues == [5, 7])
        #expect(try plan(.automatic(2), snapshot(3)).queues == [4, 7])
        #expect(try plan(.automatic(3), snapshot(1)).queues == [5, 6, 7])
        // Queue 0 is never free, so its group offers fewer queues.
        #expect(try plan(.automatic(4), snapshot(2)).queues == [1, 3, 5, 7])
        #expect(throws: DevmemError.self) { try plan(.automatic(5), snapshot(2)) }
        do throws(DevmemError) {
            _ = try QueueChooser(snapshot: snapshot(2), interface: "eth1", applied: nil)
                .choose(.automatic(5))
        } catch {
            #expect(error.message?.contains("on different DMA devices") == true)
        }
    }

    @Test func queuesOnSeveralDMADevicesAreReported() throws {
        let mixed = try plan(.list([6, 7]), snapshot(2))
        #expect(
            mixed.notes.first
                == "queues 6-7 are on 2 DMA devices, and a binding cannot span several; "
                + "the list of queues 5,7 would do")
        #expect(try plan(.last(2), snapshot(2)).notes.count == mixed.notes.count)
        #expect(try plan(.list([5, 7]), snapshot(2)).notes.count == mixed.notes.count - 1)
    }

    @Test func refusalsAreInterpreted() {
        func error(_ errno: Errno, _ text: String?) -> DevmemError {
            DevmemError(.netlink, call: "bind-rx", errno: errno, message: text)
        }
        let mismatch = "DMA device mismatch between queue 1 and 0 (multi-PF device?)"
        #expect(shareDMADevice(bindingRefusedWith: error(.notSupportedOnSocket, mismatch)) == false)
        #expect(shareDMADevice(bindingRefusedWith: error(.badFileDescriptor, nil)) == true)
        #expect(shareDMADevice(bindingRefusedWith: error(.notPermitted, nil)) == nil)
    }

    @Test func aNICWithoutATableIsReported() throws {
        #expect(try plan(.automatic(1), snapshot(1)).notes.count == 1)
        let table = RSSContext(id: 0, indirection: [0, 1])
        #expect(try plan(.automatic(1), snapshot(1, contexts: [table])).notes.isEmpty)
    }
}

import CDevmem
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BenchFlowTests {
    /// The error of a reset names the operation of the flow: sending or receiving.
    @Test(arguments: [true, false]) func resetNamesTheFlowsOperation(sends: Bool) throws {
        let listener = try listenOnLoopback()
        let stop = SharedStopSignal(StopSignal())
        let near = BenchConnection(try connected(to: listener.endpoint))
        do {
            let far = try stop.accept(on: listener, until: .after(.seconds(5)), "accept")
            var hard = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                far.rawValue, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        }
        try stop.wait(
            for: near.connection.rawValue, events: Int32(POLLIN), milliseconds: 5000, "be reset")
        let flow = try BenchFlow(
            0, near, goodPlan(),
            BenchRole(receives: sends ? nil : .host, sends: sends ? .host : nil, asks: false),
            bound: nil)
        #expect(!flow.isDone)
        flow.note(.failure)
        _ = flow.step(nil, isOver: false, answered: { _ in })
        #expect(flow.failure?.errno == .connectionReset && flow.isDone)
        #expect(
            flow.failure?.operation.text
                == (sends ? "send to " : "receive from ") + "\(near.connection.peer)")
    }

    /// Payload of a stream is coalesced, and its rest is received once the wait is over.
    @Test func restOfStreamIsReceivedAfterTheWait() throws {
        let listener = try listenOnLoopback()
        let stop = SharedStopSignal(StopSignal())
        let near = BenchConnection(try connected(to: listener.endpoint))
        let far = try stop.accept(on: listener, until: .after(.seconds(5)), "accept")
        let flow = try BenchFlow(
            0, near, goodPlan(), BenchRole(receives: .host, sends: nil, asks: false), bound: nil)
        func send(_ count: Int) {
            let data = [UInt8](repeating: 1, count: count)
            Glibc.send(far.rawValue, data, count, cdm_MSG_DONTWAIT)
        }
        // A busy machine may take its time over the first of them.
        var tries = 0
        while flow.coalescesUntil == nil && tries < 1000 {
            tries += 1
            send(256 << 10)
            flow.note(.input)
            while flow.step(nil, isOver: false, answered: { _ in }) {}
        }
        let end = try #require(flow.coalescesUntil)
        let before = near.received.load(ordering: .relaxed)
        send(10)
        flow.endWait(end - .milliseconds(1))
        _ = flow.step(nil, isOver: false, answered: { _ in })
        #expect(near.received.load(ordering: .relaxed) == before)
        flow.endWait(end)
        _ = flow.step(nil, isOver: false, answered: { _ in })
        #expect(near.received.load(ordering: .relaxed) == before + 10)
        #expect(flow.failure == nil)
    }

    @Test func descriptorsGrowWithFlows() {
        #expect(descriptorsNeeded(flows: .max, threads: .max, ports: .max) > 1_000_000)
        #expect(descriptorsNeeded(flows: .min, threads: .min, ports: .min) < 100)
        #expect(descriptorsNeeded(flows: 200, threads: 4, ports: 1) == 257)
    }
}

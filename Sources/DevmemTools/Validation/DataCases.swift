import DevmemCore
import Glibc
import SystemPackage

extension ValidationCase {
    /// The sizes of the sender's writes in bytes: around a page, around the packets of standard and
    /// jumbo frames, and extremes.
    private static let segments = [1, 8, 100, 536, 1448, 4095, 4096, 4097, 8948, 16384, 65536]

    /// Cases that check that payload arrives complete, in order and in the right memory.
    static var dataCases: [ValidationCase] {
        let both = [false, true]
        return both.flatMap { isIPv6 in segments.map { receive($0, ipv6: isIPv6) } }
            + both.flatMap { isIPv6 in segments.map { send($0, ipv6: isIPv6) } }
            + [100, 4096, 65536].map { largePages($0) }
            + [severalConnections, severalQueues, rssContext]
    }

    private static func protocolName(_ isIPv6: Bool) -> String { isIPv6 ? "ipv6" : "ipv4" }

    /// Returns a total that needs several packets of any size, but stays small if packets are
    /// small.
    static func total(_ segment: Int) -> UInt64 {
        UInt64(min(max(segment * 48, 64), 768 << 10))
    }

    private static func receive(_ segment: Int, ipv6: Bool) -> ValidationCase {
        ValidationCase(
            "receive-\(protocolName(ipv6))", "segments-of-\(segment)",
            "payload that the peer writes \(segment) bytes at a time arrives in device memory",
            needs: .receiving + [.peer(ipv6: ipv6)]
        ) { run throws(DevmemError) in
            let fixture = try run.fixture()
            return try run.receive(segment, total(segment), fixture, ipv6: ipv6)
        }
    }

    private static func send(_ segment: Int, ipv6: Bool) -> ValidationCase {
        ValidationCase(
            "send-\(protocolName(ipv6))", "segments-of-\(segment)",
            "payload sent \(segment) bytes at a time from device memory arrives, and each send completes",
            needs: .sending + [.peer(ipv6: ipv6)]
        ) { run throws(DevmemError) in try run.send(segment, total(segment), ipv6: ipv6) }
    }

    /// The page size that the kernel's own selftest uses.
    private static let pageSize: UInt32 = 16384
    private static let largeMemory: UInt64 = 16 << 20

    private static func largePages(_ segment: Int) -> ValidationCase {
        ValidationCase(
            "large-pages", "segments-of-\(segment)",
            "with rx-page-size \(pageSize), payload written \(segment) bytes at a time arrives",
            needs: .receiving + [.pageSize, .hugePages(largeMemory), .peer(ipv6: nil)]
        ) { run throws(DevmemError) in
            let fixture = try run.fixture(
                ReceiveFixture.Kind(pageSize: pageSize, memory: largeMemory))
            return try run.receive(
                segment, total(segment), fixture, ipv6: run.peers.prefersIPv6)
        }
    }

    private static var severalConnections: ValidationCase {
        ValidationCase(
            "flows", "several-connections", "simultaneous connections on one queue do not mix",
            needs: .receiving + [.remote]
        ) { run throws(DevmemError) in
            try run.receiveSeveral(run.fixture(ReceiveFixture.Kind(listeners: 4)), each: 1 << 20)
        }
    }

    private static var severalQueues: ValidationCase {
        ValidationCase(
            "flows", "several-queues", "one dma-buf feeds two queues, each with flows of its own",
            needs: .receiving + [.freeQueues(2), .remote]
        ) { run throws(DevmemError) in
            let fixture = try run.fixture(ReceiveFixture.Kind(queues: 2, listeners: 2))
            let before = try run.receivedPackets(fixture.queues)
            let verdict = try run.receiveSeveral(fixture, each: 1 << 20)
            guard case .pass = verdict else { return verdict }
            return several(fixture.queues, before, try run.receivedPackets(fixture.queues))
        }
    }

    /// Checks whether each queue has received packets, by the counters before and after; these are
    /// nil if the driver has none.
    static func several(
        _ queues: [UInt32], _ before: [UInt32: UInt64]?, _ after: [UInt32: UInt64]?
    ) -> CaseVerdict {
        guard let before, let after else {
            return .skip(
                "all payload arrived, but the driver does not count packets per queue, so it is not known "
                    + "through which queue")
        }
        for queue in queues where after[queue] ?? 0 <= before[queue] ?? 0 {
            return .fail("queue \(queue) counts no packets although flows are steered to it")
        }
        return .pass
    }

    private static var rssContext: ValidationCase {
        ValidationCase(
            "flows", "rss-context", "an RSS context spreads flows over bound queues only",
            needs: .receiving + [.freeQueues(2), .spreading, .remote]
        ) { run throws(DevmemError) in
            let kind = ReceiveFixture.Kind(queues: 2, spread: .rssContext, listeners: 8)
            return try run.receiveSeveral(run.fixture(kind), each: 256 << 10)
        }
    }
}

extension ValidationRun {
    /// Receives a pattern into device memory.
    func receive(
        _ segment: Int, _ total: UInt64, _ fixture: ReceiveFixture, ipv6: Bool
    ) throws(DevmemError) -> CaseVerdict {
        var flow = try ReceivedFlow(self, fixture, ipv6: ipv6, segment: segment, total: total)
        try flow.run()
        return try flow.finish()
    }

    /// Returns the packet counters of receive queues; nil if the driver has none.
    fileprivate func receivedPackets(
        _ queues: [UInt32]
    ) throws(DevmemError) -> [UInt32: UInt64]? {
        guard let all = try queueStatistics(ofInterface: interface.index) else { return nil }
        var packets: [UInt32: UInt64] = [:]
        for one in all where one.type == .rx && queues.contains(one.id) {
            packets[one.id] = one.counters["rx-packets"]
        }
        return packets.count == queues.count ? packets : nil
    }

    /// Receives on all sockets of a fixture at once.
    func receiveSeveral(
        _ fixture: ReceiveFixture, each total: UInt64
    ) throws(DevmemError) -> CaseVerdict {
        var flows: [FlowReference] = []
        for isIPv6 in [false, true] where peers.has(ipv6: isIPv6) {
            for number in 0..<fixture.kind.listeners {
                flows.append(
                    FlowReference(
                        try ReceivedFlow(
                            self, fixture, ipv6: isIPv6, number: number, segment: 16384,
                            total: total)))
            }
        }
        guard !flows.isEmpty else { return .fail("no address leads to the peer") }
        let poller = try Poller(reading: [stop.signal.rawValue ?? -1])
        for (index, flow) in flows.enumerated() {
            try poller.add(flow.flow.number, as: UInt64(index + 1))
        }
        var running = flows.count
        while running > 0 {
            var ready: [Int] = []
            let count = try poller.wait(milliseconds: caseTimeout) { tag, _ in
                if tag > 0 { ready.append(Int(tag) - 1) }
            }
            if let signal = stop.pending() {
                return .fail("signal \(signal)")
            }
            guard count > 0 else { break }
            for index in ready where try !flows[index].flow.take() {
                poller.remove(flows[index].flow.number)
                running -= 1
            }
        }
        for flow in flows {
            let verdict = try flow.flow.finish()
            guard case .pass = verdict else { return verdict }
        }
        return .pass
    }
}

/// A flow as an element of an array, which cannot hold a noncopyable value.
private final class FlowReference {
    var flow: ReceivedFlow

    init(_ flow: consuming ReceivedFlow) {
        self.flow = flow
    }
}

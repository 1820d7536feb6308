import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct QueueStateTests {
    private func queue(
        _ id: UInt32, _ type: QueueType = .rx, napi: UInt32? = nil, dmabuf: UInt32? = nil
    ) -> QueueInfo {
        var queue = QueueInfo(id: id, type: type)
        queue.napiID = napi
        queue.dmabufID = dmabuf
        return queue
    }

    private func pool(
        _ id: UInt64, napi: UInt32? = nil, dmabuf: UInt32? = nil, detachedAt: UInt64? = nil
    ) -> PagePoolInfo {
        var pool = PagePoolInfo(id: id)
        pool.napiID = napi
        pool.dmabufID = dmabuf
        pool.detachedAt = detachedAt
        pool.inFlightBytes = 4096
        return pool
    }

    private func poolIDs(_ states: [QueueState]) -> [[UInt64]] { states.map { $0.pools.map(\.id) } }

    @Test func queuesAreInOrder() {
        let joined = joinQueues([queue(1, .tx), queue(1), queue(0, .tx), queue(0)])
        #expect(joined.queues.map(\.info) == [queue(0), queue(1), queue(0, .tx), queue(1, .tx)])
        #expect(joined.unassigned.isEmpty)
    }

    @Test func poolsBelongToTheQueueOfTheirNAPI() {
        let joined = joinQueues(
            [queue(0, napi: 10), queue(1, napi: 11), queue(1, .tx, napi: 11)],
            pools: [pool(5, napi: 11), pool(4, napi: 10), pool(6)])
        #expect(poolIDs(joined.queues) == [[4], [5], []])
        #expect(joined.unassigned.map(\.id) == [6])
    }

    @Test func boundQueueHasAPoolForHeadersToo() {
        let joined = joinQueues(
            [queue(6, napi: 16, dmabuf: 2), queue(7, napi: 17, dmabuf: 2)],
            pools: [
                pool(1, napi: 16, dmabuf: 2), pool(2, napi: 16), pool(3, napi: 17, dmabuf: 2),
                pool(4, napi: 17),
            ])
        #expect(poolIDs(joined.queues) == [[1, 2], [3, 4]])
        #expect(joined.queues[0].inFlightBytes == 8192)
    }

    @Test func bytesInFlightMayBeAnyNumber() {
        var huge = pool(1, napi: 16)
        huge.inFlightBytes = .max
        let joined = joinQueues([queue(6, napi: 16)], pools: [huge, pool(2, napi: 16)])
        #expect(joined.queues[0].inFlightBytes == .max)
    }

    @Test func sharedNAPIWithOneBoundQueue() {
        let joined = joinQueues(
            [queue(0, napi: 10), queue(1, napi: 10, dmabuf: 2)],
            pools: [pool(1, napi: 10, dmabuf: 2)])
        #expect(poolIDs(joined.queues) == [[], [1]])
    }

    @Test func withoutNAPITheDmabufDecidesIfOneQueueHasIt() {
        let one = joinQueues(
            [queue(6), queue(7, dmabuf: 2)], pools: [pool(1, dmabuf: 2)])
        #expect(poolIDs(one.queues) == [[], [1]])
        let two = joinQueues(
            [queue(6, dmabuf: 2), queue(7, dmabuf: 2)], pools: [pool(1, dmabuf: 2)])
        #expect(poolIDs(two.queues) == [[], []])
        #expect(two.unassigned.map(\.id) == [1])
    }

    @Test func detachedPoolsBelongToNoQueue() {
        let joined = joinQueues(
            [queue(0, napi: 10)], pools: [pool(1, napi: 10, detachedAt: 5)])
        #expect(joined.queues[0].pools.isEmpty && joined.unassigned.isEmpty)
    }

    @Test func countersRSSAndRulesOfAQueue() throws {
        // A queue cookie of 1, at location 3.
        var specification = [UInt8](repeating: 0, count: FlowSpec.size)
        specification.store(UInt64(1), at: FlowSpec.ringCookie)
        specification.store(UInt32(3), at: FlowSpec.location)
        let rule = try #require(InstalledRule(specification: specification, context: 0))
        let joined = joinQueues(
            [queue(0), queue(1, napi: 11), queue(1, .tx)],
            statistics: [
                QueueStatistics(
                    type: .rx, id: 1,
                    counters: [
                        "rx-packets": 4, "rx-bytes": 5, "rx-hw-drops": 6, "rx-alloc-fail": 7,
                    ]
                ),
                QueueStatistics(type: .tx, id: 1, counters: ["tx-packets": 8]),
            ],
            contexts: [
                RSSContext(id: 0, indirection: [0, 1, 1]), RSSContext(id: 2, indirection: [1]),
                RSSContext(id: 3, indirection: [0]),
            ], rules: [rule])
        let receive = joined.queues[1]
        #expect(receive.packets == 4 && receive.bytes == 5)
        #expect(receive.drops == 6 && receive.allocationFailures == 7)
        #expect(receive.rssEntries == 2 && receive.contexts == [2] && receive.rules == [3])
        let transmit = joined.queues[2]
        #expect(transmit.packets == 8 && transmit.bytes == nil && transmit.drops == nil)
        #expect(transmit.rssEntries == 0 && transmit.contexts.isEmpty && transmit.rules.isEmpty)
        #expect(joined.queues[0].contexts == [3] && joined.queues[0].rules.isEmpty)
    }
}

@Suite struct QueueRateTests {
    private func state(_ id: UInt32, _ counters: [String: UInt64]) -> QueueState {
        var state = QueueState(QueueInfo(id: id, type: .rx))
        state.counters = counters
        return state
    }

    @Test func ratesAreDifferencesOverTime() throws {
        let rate = try #require(
            queueRates(
                from: [state(0, ["rx-packets": 10, "rx-bytes": 1000, "rx-hw-drops": 3])],
                to: [state(0, ["rx-packets": 15, "rx-bytes": 3000, "rx-hw-drops": 3])],
                seconds: 2
            ).first)
        #expect(rate.packets == 2.5 && rate.bytes == 1000 && rate.drops == 0)
        #expect(rate.allocationFailures == nil && rate.isActive)
    }

    @Test func aCounterThatWentBackwardsHasNoRate() throws {
        let rate = try #require(
            queueRates(
                from: [state(0, ["rx-packets": 10, "rx-bytes": 10])],
                to: [state(0, ["rx-packets": 9, "rx-bytes": 10])], seconds: 1
            ).first)
        #expect(rate.packets == nil && rate.bytes == 0 && !rate.isActive)
    }

    @Test func queuesMayComeAndGo() {
        let rates = queueRates(
            from: [state(0, ["rx-packets": 1]), state(1, ["rx-packets": 1])],
            to: [state(1, ["rx-packets": 2]), state(2, ["rx-packets": 99])], seconds: 1)
        #expect(rates.map(\.queue.info.id) == [1, 2])
        #expect(rates.map(\.packets) == [1, nil])
    }

    @Test(arguments: [0, -1.0, .nan]) func noTimeNoRate(seconds: Double) {
        let rates = queueRates(
            from: [state(0, ["rx-packets": 1])], to: [state(0, ["rx-packets": 2])],
            seconds: seconds)
        #expect(rates.map(\.packets) == [nil])
    }

    /// The kernel tells a lease only at the NIC, in the NIC's namespace.
    @Test func lessorsAreFoundAtTheNICs() {
        func leased(_ id: UInt32, to interface: UInt32, _ queue: UInt32, _ namespace: Int32? = nil)
            -> QueueInfo
        {
            var info = QueueInfo(id: id, type: .rx)
            info.lease = QueueLease(interface: interface, queue: queue, namespace: namespace)
            return info
        }
        let nics = [
            (
                name: "eth1",
                queues: [QueueInfo(id: 0, type: .rx), leased(5, to: 9, 1), leased(6, to: 8, 1)]
            ),
            (name: "eth2", queues: [leased(3, to: 9, 2), leased(4, to: 9, 3, 0)]),
        ]
        #expect(
            lessors(ofInterface: 9, among: nics) == [
                1: QueueLessor(interface: "eth1", queue: 5),
                2: QueueLessor(interface: "eth2", queue: 3),
            ])
        #expect(lessors(ofInterface: 7, among: nics).isEmpty)
    }
}

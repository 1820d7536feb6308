package import DevmemCore
/// The state of a queue, joined from what several kernel interfaces report.
package struct QueueState: Equatable, Sendable {
    /// The queue.
    package var info: QueueInfo
    /// The NIC's queue that is leased to it, if that is known.
    package var lessor: QueueLessor?
    /// The NAPI instance that serves it, if known.
    package var napi: NAPIInfo?
    /// Its page pools; two if headers have their own.
    package var pools: [PagePoolInfo] = []
    /// The driver's counters, keyed as in `QueueStatistics`.
    package var counters: [String: UInt64] = [:]
    /// The number of entries of the main RSS table that point to it.
    package var rssEntries = 0
    /// The other RSS contexts that point to it.
    package var contexts: [UInt32] = []
    /// The locations of the flow rules that point to it.
    package var rules: [UInt32] = []

    /// Creates a state without any further information.
    package init(_ info: QueueInfo) {
        self.info = info
    }

    /// The number of packets; nil if the driver does not count them.
    package var packets: UInt64? { counters["\(direction)-packets"] }
    /// The number of bytes; nil if the driver does not count them.
    package var bytes: UInt64? { counters["\(direction)-bytes"] }
    /// The number of packets that the NIC dropped; nil if the driver does not count them.
    package var drops: UInt64? { counters["\(direction)-hw-drops"] }
    /// The number of failed buffer allocations; nil if the driver does not count them.
    package var allocationFailures: UInt64? { counters["\(direction)-alloc-fail"] }

    /// Bytes in flight of its page pools; nil if it has no pool.
    package var inFlightBytes: UInt64? {
        pools.isEmpty ? nil : pools.compactMap(\.inFlightBytes).saturatingSum
    }

    private var direction: String { info.type == .rx ? "rx" : "tx" }
}

/// Joins what the kernel reports on queues in several places.
///
/// - Parameters:
///   - queues: the interface's queues.
///   - napis: its NAPI instances.
///   - pools: its page pools; detached ones belong to no queue.
///   - statistics: its per-queue counters.
///   - contexts: its RSS contexts.
///   - rules: its flow rules.
/// - Returns: the queues by type and id, receive queues first, and the active pools that cannot be
///   assigned to a queue.
package func joinQueues(
    _ queues: [QueueInfo], napis: [NAPIInfo] = [], pools: [PagePoolInfo] = [],
    statistics: [QueueStatistics] = [], contexts: [RSSContext] = [], rules: [InstalledRule] = []
) -> (queues: [QueueState], unassigned: [PagePoolInfo]) {
    var states = queues.map { QueueState($0) }.sorted {
        ($0.info.type.rawValue, $0.info.id) < ($1.info.type.rawValue, $1.info.id)
    }
    var unassigned: [PagePoolInfo] = []
    for pool in pools.sorted(by: { $0.id < $1.id }) where pool.detachedAt == nil {
        let users = users(of: pool, in: states)
        if users.isEmpty { unassigned.append(pool) }
        for position in users { states[position].pools.append(pool) }
    }
    for position in states.indices {
        let info = states[position].info
        states[position].napi = napis.first { $0.id == info.napiID }
        states[position].counters =
            statistics.first { $0.type == info.type && $0.id == info.id }?.counters ?? [:]
        guard info.type == .rx else { continue }
        for context in contexts {
            let entries = context.indirection.count { $0 == info.id }
            if context.id == 0 {
                states[position].rssEntries = entries
            } else if entries > 0 {
                states[position].contexts.append(context.id)
            }
        }
        states[position].rules = rules.filter { $0.queue == info.id }.map(\.location).sorted()
    }
    return (states, unassigned)
}

/// Returns the indices of the receive queues that a pool feeds. The kernel reports a pool's NAPI
/// instance and dma-buf, not its queue (`page_pool_nl_fill` of net/core/page_pool_user.c). A NAPI
/// instance can serve several queues, and a dma-buf can feed several, so both are considered.
private func users(of pool: PagePoolInfo, in states: [QueueState]) -> [Int] {
    let receivers = states.indices.filter { states[$0].info.type == .rx }
    let served = receivers.filter {
        pool.napiID != nil && states[$0].info.napiID == pool.napiID
    }
    guard let dmabuf = pool.dmabufID else { return served }
    let bound = receivers.filter { states[$0].info.dmabufID == dmabuf }
    let both = served.filter { bound.contains($0) }
    if !both.isEmpty { return both }
    return bound.count == 1 ? bound : []
}

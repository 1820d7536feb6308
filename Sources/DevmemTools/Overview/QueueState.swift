package import DevmemCore
/// A queue and all that has to do with it.
package struct QueueState: Equatable, Sendable {
    /// The queue.
    package var info: QueueInfo
    /// The NAPI instance that serves it, if that is known.
    package var napi: NAPIInfo?
    /// The page pools that feed it; two where headers have one of their own.
    package var pools: [PagePoolInfo] = []
    /// What the driver counts for it, by the names of `QueueStatistics`.
    package var counters: [String: UInt64] = [:]
    /// How many entries of the main RSS table point at it.
    package var rssEntries = 0
    /// The other RSS contexts that point at it.
    package var contexts: [UInt32] = []
    /// The locations of the flow rules that lead to it.
    package var rules: [UInt32] = []

    /// Makes the state of a queue of which nothing else is known.
    package init(_ info: QueueInfo) {
        self.info = info
    }

    /// Packets that it has moved; nil if the driver does not count them.
    package var packets: UInt64? { counters["\(direction)-packets"] }
    /// Bytes that it has moved; nil if the driver does not count them.
    package var bytes: UInt64? { counters["\(direction)-bytes"] }
    /// Packets that the NIC has dropped; nil if the driver does not count them.
    package var drops: UInt64? { counters["\(direction)-hw-drops"] }
    /// Receive buffers that could not be had; nil if the driver does not count them.
    package var allocationFailures: UInt64? { counters["\(direction)-alloc-fail"] }

    /// Bytes of its pools that are out; nil if it has no pool.
    package var inFlightBytes: UInt64? {
        pools.isEmpty ? nil : pools.compactMap(\.inFlightBytes).saturatingSum
    }

    private var direction: String { info.type == .rx ? "rx" : "tx" }
}

/// Puts together what the kernel tells of queues in different places.
///
/// - Parameters:
///   - queues: the interface's queues.
///   - napis: its NAPI instances.
///   - pools: its page pools; those that are detached belong to no queue.
///   - statistics: what its driver counts.
///   - contexts: its RSS contexts.
///   - rules: its flow rules.
/// - Returns: the queues, receive first, in the order of their numbers, and the pools in use that
///   cannot be told to belong to one.
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

/// The positions of the receive queues that a pool feeds. The kernel tells a pool's NAPI instance
/// and dma-buf, not its queue (`page_pool_nl_fill` of net/core/page_pool_user.c). NAPI may serve
/// several queues, and a dma-buf feed several, so that both count.
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

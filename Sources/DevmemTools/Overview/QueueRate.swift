import DevmemCore
/// What a queue did between two samples, for each second.
package struct QueueRate: Equatable, Sendable {
    /// The queue, as of the second sample.
    package var queue: QueueState
    /// Packets a second; nil if that is not known: the queue is new, the driver does not count them
    /// or its counter went backwards.
    package var packets: Double?
    /// Bytes a second, or nil likewise.
    package var bytes: Double?
    /// Packets dropped a second, or nil likewise.
    package var drops: Double?
    /// Failed allocations a second, or nil likewise.
    package var allocationFailures: Double?

    /// Makes rates from their values; those that are not given are not known.
    package init(
        of queue: QueueState, packets: Double? = nil, bytes: Double? = nil, drops: Double? = nil,
        allocationFailures: Double? = nil
    ) {
        self.queue = queue
        self.packets = packets
        self.bytes = bytes
        self.drops = drops
        self.allocationFailures = allocationFailures
    }

    /// Whether anything happened.
    package var isActive: Bool {
        [packets, bytes, drops, allocationFailures].contains { ($0 ?? 0) > 0 }
    }
}

/// The rates between two samples of an interface's queues.
///
/// - Parameters:
///   - before: the first sample.
///   - after: the second sample.
///   - seconds: the time between them.
/// - Returns: a rate for each queue of the second sample, in its order.
package func queueRates(
    from before: [QueueState], to after: [QueueState], seconds: Double
) -> [QueueRate] {
    after.map { queue in
        let earlier = before.first {
            $0.info.type == queue.info.type && $0.info.id == queue.info.id
        }
        func rate(_ counter: KeyPath<QueueState, UInt64?>) -> Double? {
            guard seconds > 0, let first = earlier?[keyPath: counter],
                let last = queue[keyPath: counter], last >= first
            else { return nil }
            return Double(last - first) / seconds
        }
        return QueueRate(
            of: queue, packets: rate(\.packets), bytes: rate(\.bytes), drops: rate(\.drops),
            allocationFailures: rate(\.allocationFailures))
    }
}

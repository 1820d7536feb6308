import DevmemCore
/// The rates of a queue between two samples.
package struct QueueRate: Equatable, Sendable {
    /// The queue, as of the second sample.
    package var queue: QueueState
    /// Packets per second. Nil if the queue is new, the driver does not count them, or the counter
    /// decreased.
    package var packets: Double?
    /// Bytes per second; nil for the same reasons.
    package var bytes: Double?
    /// Dropped packets per second; nil for the same reasons.
    package var drops: Double?
    /// Failed allocations per second; nil for the same reasons.
    package var allocationFailures: Double?

    /// Creates rates from their values; those not given are unknown.
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

    /// Whether any rate is above zero.
    package var isActive: Bool {
        [packets, bytes, drops, allocationFailures].contains { ($0 ?? 0) > 0 }
    }
}

/// Computes the rates between two samples of an interface's queues.
///
/// - Parameters:
///   - before: the first sample.
///   - after: the second sample.
///   - seconds: the time between the samples.
/// - Returns: the rates of each queue of the second sample, in its order.
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

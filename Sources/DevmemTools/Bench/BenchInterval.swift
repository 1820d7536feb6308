import DevmemCore
/// What happened between two looks at a benchmark, as both ends saw it.
package struct BenchInterval: Codable, Equatable, Sendable {
    /// Seconds from the start of measuring to the end of the interval.
    package var time: Double
    /// The interval's length in seconds.
    package var seconds: Double
    /// Payload bytes that the near end received, flow by flow.
    package var inbound: [UInt64]
    /// Payload bytes that the far end received, flow by flow.
    package var outbound: [UInt64]
    /// Processor time of the near end's process in user mode, in seconds.
    package var nearUser: Double
    /// Processor time of the near end's process in the kernel, in seconds.
    package var nearSystem: Double
    /// Processor time of the far end's process in user mode, in seconds.
    package var farUser: Double
    /// Processor time of the far end's process in the kernel, in seconds.
    package var farSystem: Double
    /// Processor time of the near end's whole host in softirqs, in seconds.
    package var softirq: Double

    private enum CodingKeys: String, CodingKey {
        case time, seconds
        case inbound = "inbound_bytes"
        case outbound = "outbound_bytes"
        case nearUser = "near_user_seconds"
        case nearSystem = "near_system_seconds"
        case farUser = "far_user_seconds"
        case farSystem = "far_system_seconds"
        case softirq = "near_host_softirq_seconds"
    }

    /// Joins what both ends saw, interval by interval. Where the far end does not tell, what the
    /// near end sent stands for what the far end received. Pure.
    package static func joined(near: [BenchSample], far: [BenchSample]) -> [BenchInterval] {
        near.indices.map { index in
            let own = near[index]
            let other = far.indices.contains(index) ? far[index] : nil
            return BenchInterval(
                time: own.time, seconds: own.seconds, inbound: own.received,
                outbound: other?.received ?? own.sent, nearUser: own.user,
                nearSystem: own.system, farUser: other?.user ?? 0,
                farSystem: other?.system ?? 0, softirq: own.softirq)
        }
    }
}

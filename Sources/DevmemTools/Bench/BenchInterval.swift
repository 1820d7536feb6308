import DevmemCore
/// An interval of a benchmark, as measured on both sides.
package struct BenchInterval: Codable, Equatable, Sendable {
    /// Seconds from the start of the measurement to the end of the interval.
    package var time: Double
    /// The length of the interval in seconds.
    package var seconds: Double
    /// Payload bytes that the local side received, per flow.
    package var inbound: [UInt64]
    /// Payload bytes that the remote side received, per flow.
    package var outbound: [UInt64]
    /// User time of the local process, in seconds.
    package var nearUser: Double
    /// System time of the local process, in seconds.
    package var nearSystem: Double
    /// User time of the remote process, in seconds.
    package var farUser: Double
    /// System time of the remote process, in seconds.
    package var farSystem: Double
    /// Softirq time of the whole local host, in seconds.
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

    /// Joins the samples of both sides. If the remote side has no sample, the bytes that the local
    /// side sent replace the bytes that the remote side received. Pure.
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

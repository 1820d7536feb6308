import DevmemCore
import Histogram

/// CPU time per GiB of payload, in seconds; zero if there was no payload.
package struct BenchCost: Codable, Equatable, Sendable {
    /// User time of the threads that carry flows.
    package var user: Double
    /// System time of these threads.
    package var system: Double
    /// Softirq time of the whole host.
    package var softirq: Double

    private enum CodingKeys: String, CodingKey {
        case user = "user_seconds_per_gib"
        case system = "system_seconds_per_gib"
        case softirq = "host_softirq_seconds_per_gib"
    }

    init(of end: BenchEndReport, bytes: UInt64) {
        let gib = Double(bytes) / Double(1 << 30)
        func share(_ seconds: Double) -> Double { gib > 0 ? seconds / gib : 0 }
        user = share(end.userSeconds)
        system = share(end.systemSeconds)
        softirq = share(end.softirqSeconds)
    }
}

/// The latency of responses, in microseconds.
package struct BenchLatency: Codable, Equatable, Sendable {
    /// The number of responses.
    package var count: UInt64
    /// The minimum.
    package var minimum: Double
    /// The mean.
    package var mean: Double
    /// The median.
    package var p50: Double
    /// The 90th percentile.
    package var p90: Double
    /// The 99th percentile.
    package var p99: Double
    /// The 99.9th percentile.
    package var p999: Double
    /// The maximum.
    package var maximum: Double

    private enum CodingKeys: String, CodingKey {
        case count
        case minimum = "min_us"
        case mean = "mean_us"
        case p50 = "p50_us"
        case p90 = "p90_us"
        case p99 = "p99_us"
        case p999 = "p999_us"
        case maximum = "max_us"
    }

    /// Summarizes a histogram of nanoseconds.
    init(_ histogram: Histogram<UInt64>) {
        func percentile(_ part: Double) -> Double {
            Double(histogram.valueAtPercentile(part)) / 1000
        }
        count = histogram.totalCount
        minimum = Double(histogram.min) / 1000
        mean = histogram.mean / 1000
        p50 = percentile(50)
        p90 = percentile(90)
        p99 = percentile(99)
        p999 = percentile(99.9)
        maximum = Double(histogram.max) / 1000
    }
}

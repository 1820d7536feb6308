import DevmemCore
import Synchronization

/// A meter that samples the flows, and the CPU time of the process and the host.
struct BenchMeter {
    /// The sampling interval.
    static let interval = Duration.seconds(1)

    private struct Reading {
        var time: ContinuousClock.Instant
        var received: [UInt64]
        var sent: [UInt64]
        var user: Double
        var system: Double
        var softirq: Double
    }

    private let connections: [BenchConnection]
    private let begin: ContinuousClock.Instant
    private let end: ContinuousClock.Instant?
    private var last: Reading
    /// The time of the next sample; nil after the end of the measurement.
    private(set) var due: ContinuousClock.Instant?

    /// Creates a meter; the measurement may start in the future.
    init(_ connections: [BenchConnection], _ times: MeasurementTimes) {
        self.connections = connections
        begin = times.begin
        end = times.end
        due = times.begin
        last = Self.read(connections)
    }

    /// Takes a sample; nil at the start of the measurement, when there is no earlier one.
    mutating func sample() -> BenchSample? {
        let now = Self.read(connections)
        defer { last = now }
        let isFirst = due == begin
        if let end, now.time >= end {
            due = nil
        } else {
            due = min((due ?? now.time) + Self.interval, end ?? .now + Self.interval)
        }
        guard !isFirst else { return nil }
        return BenchSample(
            time: (now.time - begin) / .seconds(1), seconds: (now.time - last.time) / .seconds(1),
            received: zip(now.received, last.received).map { $0 &- $1 },
            sent: zip(now.sent, last.sent).map { $0 &- $1 }, user: now.user - last.user,
            system: now.system - last.system, softirq: now.softirq - last.softirq)
    }

    private static func read(_ connections: [BenchConnection]) -> Reading {
        let spent = CPUTime.ofProcess
        return Reading(
            time: .now, received: connections.map { $0.received.load(ordering: .relaxed) },
            sent: connections.map { $0.sent.load(ordering: .relaxed) }, user: spent.user,
            system: spent.system, softirq: CPUTime.softirq)
    }
}

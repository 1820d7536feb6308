import DevmemCore
import Synchronization

/// Looks at flows while they run, and at what the process and the host spend meanwhile.
struct BenchMeter {
    /// Seconds between two looks.
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
    /// When the next look is due; nil once measuring has ended.
    private(set) var due: ContinuousClock.Instant?

    /// Begins at the start of measuring, which may lie ahead.
    init(_ connections: [BenchConnection], _ times: BenchTimes) {
        self.connections = connections
        begin = times.begin
        end = times.end
        due = times.begin
        last = Self.read(connections)
    }

    /// Looks once; nil at the start of measuring, when there is nothing to compare with.
    mutating func look() -> BenchSample? {
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

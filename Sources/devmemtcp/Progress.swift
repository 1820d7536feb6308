import DevmemCore
import DevmemTools
import Glibc

/// The contents of a progress line. Pure.
struct ProgressLine: Equatable {
    /// Bytes transferred so far.
    var bytes: UInt64
    /// Bytes per second in the last interval.
    var rate: Double
    /// Seconds elapsed.
    var seconds: Double
    /// Total bytes; nil if unknown.
    var total: UInt64?
    /// The time limit in seconds; nil if there is none.
    var limit: Double?
    /// The number of open connections; nil if there is only one.
    var connections: Int?

    /// The estimated seconds left; nil if unknown.
    var left: Double? {
        if let limit { return max(0, limit - seconds) }
        guard let total, total > 0, bytes > 0, bytes <= total, seconds > 0 else { return nil }
        return Double(total - bytes) / (Double(bytes) / seconds)
    }

    var text: String {
        var parts = [ByteCount.text(bytes) + (total.map { " of \(ByteCount.text($0))" } ?? "")]
        if let connections { parts.append(counted(connections, "connection")) }
        parts.append("\(ByteCount.text(UInt64(clamping: whole(rate))))/s")
        parts.append("\(Int64(clamping: whole(seconds))) s")
        if let left { parts.append("\(Self.time(left)) left") }
        return parts.joined(separator: "  ")
    }

    /// Formats a time as M:SS, or H:MM:SS.
    static func time(_ seconds: Double) -> String {
        let all = whole(seconds.rounded(.up))
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (hours, minutes) = (all / 3600, all / 60 % 60)
        return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":" + two(all % 60)
    }
}

/// Returns the integer part of a number, within 0 and 1e15; 0 if the number is not finite.
private func whole(_ number: Double) -> Int64 {
    number.isFinite ? Int64(min(max(number, 0), 1e15)) : 0
}

/// A progress line for a transfer on a terminal, which is overwritten in place.
final class Progress {
    private static let interval: Duration = .milliseconds(500)

    /// Whether the line is shown.
    let isShown: Bool
    private let total: UInt64?
    private let limit: Double?
    private let begun = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var lastBytes: UInt64 = 0
    private let live = LiveLine.standard

    /// - Parameters:
    ///   - quiet: whether to show nothing.
    ///   - total: the total number of bytes; nil if unknown.
    ///   - limit: the time limit in seconds; nil if there is none.
    init(quiet: Bool, total: UInt64? = nil, limit: Double? = nil) {
        isShown = !quiet && isatty(STDERR_FILENO) == 1
        self.total = total
        self.limit = limit
        last = begun
    }

    func update(_ bytes: UInt64, connections: Int? = nil) {
        guard isShown else { return }
        let now = ContinuousClock.now
        guard now - last >= Self.interval else { return }
        let line = ProgressLine(
            bytes: bytes, rate: Double(bytes &- lastBytes) / ((now - last) / .seconds(1)),
            seconds: (now - begun) / .seconds(1), total: total, limit: limit,
            connections: connections)
        live.show(line.text)
        last = now
        lastBytes = bytes
    }

    /// Removes the line, so that other text can be written.
    func finish() { live.interrupt() }
}

import DevmemCore
import DevmemTools
import Glibc

/// What a line of progress says. Pure.
struct ProgressLine: Equatable {
    /// Payload so far, in bytes.
    var bytes: UInt64
    /// Bytes a second, of late.
    var rate: Double
    /// Seconds so far.
    var seconds: Double
    /// Payload in all; nil if that is not known.
    var total: UInt64?
    /// Seconds after which everything ends; nil if that is not known.
    var limit: Double?
    /// Connections now; nil if there is only one.
    var connections: Int?

    /// Seconds until the end; nil if it is not known.
    var left: Double? {
        if let limit { return max(0, limit - seconds) }
        guard let total, total > 0, bytes > 0, bytes <= total, seconds > 0 else { return nil }
        return Double(total - bytes) / (Double(bytes) / seconds)
    }

    var text: String {
        var parts = [ByteCount.text(bytes) + (total.map { " of \(ByteCount.text($0))" } ?? "")]
        if let connections {
            parts.append(connections == 1 ? "1 connection" : "\(connections) connections")
        }
        parts.append("\(ByteCount.text(UInt64(clamping: whole(rate))))/s")
        parts.append("\(Int64(clamping: whole(seconds))) s")
        if let left { parts.append("\(Self.time(left)) left") }
        return parts.joined(separator: "  ")
    }

    /// Minutes and seconds, with hours before them if there are any.
    static func time(_ seconds: Double) -> String {
        let all = whole(seconds.rounded(.up))
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (hours, minutes) = (all / 3600, all / 60 % 60)
        return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":" + two(all % 60)
    }
}

/// The whole part of a number, as far as there is one.
private func whole(_ number: Double) -> Int64 {
    number.isFinite ? Int64(min(max(number, 0), 1e15)) : 0
}

/// A line on a terminal that says how far a transfer is; written over as it goes on.
final class Progress {
    private static let interval: Duration = .milliseconds(500)

    /// Whether anybody sees it.
    let isShown: Bool
    private let total: UInt64?
    private let limit: Double?
    private let begun = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var lastBytes: UInt64 = 0
    private let live = LiveLine.standard

    /// - Parameters:
    ///   - quiet: whether nothing is to be shown.
    ///   - total: payload in all, in bytes; nil if that is not known.
    ///   - limit: seconds after which everything ends; nil if that is not known.
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

    /// Removes the line, so that something else can be written there.
    func finish() { live.interrupt() }
}

import DevmemCore
import Glibc

/// A line on a terminal that says how far a transfer is; written over as it goes on.
final class Progress {
    private static let interval: Duration = .milliseconds(500)

    private let isShown: Bool
    private let begun = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var lastBytes: UInt64 = 0
    private var isLineOpen = false

    init(quiet: Bool) {
        isShown = !quiet && isatty(STDERR_FILENO) == 1
        last = begun
    }

    func update(_ bytes: UInt64) {
        guard isShown else { return }
        let now = ContinuousClock.now
        guard now - last >= Self.interval else { return }
        let rate = Double(bytes - lastBytes) / ((now - last) / .seconds(1))
        writeTerminal(
            "\r\u{1b}[K\(ByteCount.text(bytes))  \(ByteCount.text(UInt64(rate)))/s  "
                + "\((now - begun).components.seconds) s")
        last = now
        lastBytes = bytes
        isLineOpen = true
    }

    func finish() {
        if isLineOpen { writeTerminal("\r\u{1b}[K") }
        isLineOpen = false
    }
}

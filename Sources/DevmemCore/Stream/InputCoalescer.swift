import Glibc

/// How long it pays to coalesce a stream's input before it is sent: each read and each send has a fixed
/// cost. Pure; times are nanoseconds of one clock.
struct InputCoalescer: Equatable, Sendable {
    /// No input waits longer than this in memory, in nanoseconds.
    static let limit: UInt64 = 4_000_000

    /// As many bytes are worth a send at once.
    private let target: Int
    private var lastLook: UInt64
    /// Bytes that a time of `limit` brings, as the last look at the input had it.
    private var expected: UInt64 = 0

    /// - Parameters:
    ///   - target: bytes that are sent at once; zero for input that is never coalesced.
    ///   - now: the time.
    init(target: Int, now: UInt64) {
        self.target = target
        lastLook = now
    }

    /// Whether input is coalesced at all.
    var isUsed: Bool { target > 0 }

    /// Notes what a look at the input brought.
    mutating func arrived(_ bytes: Int, at now: UInt64) {
        let time = max(now &- lastLook, 1)
        lastLook = now
        let scaled = UInt64(bytes).multipliedReportingOverflow(by: Self.limit)
        expected = scaled.overflow ? .max : scaled.partialValue / time
    }

    /// Whether that much had better wait for more.
    func isWorthWaiting(with unsent: Int) -> Bool {
        unsent > 0 && unsent < target && expected >= UInt64(unsent)
    }

    /// Whether that much is worth a send; input that is never coalesced is never enough.
    func isEnough(_ unsent: Int) -> Bool {
        target > 0 && unsent >= target
    }

    /// How long until enough should be there, in nanoseconds.
    func wait(with unsent: Int) -> UInt64 {
        guard expected > 0, unsent < target else { return 0 }
        let time = Self.limit.multipliedFullWidth(by: UInt64(target - unsent))
        guard time.high < expected else { return Self.limit }
        return min(Self.limit, expected.dividingFullWidth(time).quotient)
    }
}

/// Nanoseconds of the clock that is never set.
package func monotonicTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

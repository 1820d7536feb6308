import Glibc

/// Decides how long to coalesce input before sending it, as each read and each send has a fixed
/// cost. Pure; times are in nanoseconds.
struct InputCoalescer: Equatable, Sendable {
    /// The longest time that input waits, in nanoseconds.
    static let limit: UInt64 = 4_000_000

    /// The number of bytes that are sent at once.
    private let target: Int
    private var lastLook: UInt64
    /// The number of bytes that arrive within `limit`, estimated from the last read.
    private var expected: UInt64 = 0

    /// - Parameters:
    ///   - target: the number of bytes that are sent at once; 0 turns coalescing off.
    ///   - now: the current time.
    init(target: Int, now: UInt64) {
        self.target = target
        lastLook = now
    }

    /// Whether coalescing is on.
    var isUsed: Bool { target > 0 }

    /// Records the bytes of a read.
    mutating func arrived(_ bytes: Int, at now: UInt64) {
        let time = max(now &- lastLook, 1)
        lastLook = now
        let scaled = UInt64(bytes).multipliedReportingOverflow(by: Self.limit)
        expected = scaled.overflow ? .max : scaled.partialValue / time
    }

    /// Returns whether it pays to wait for more than the unsent bytes.
    func shouldWait(with unsent: Int) -> Bool {
        unsent > 0 && unsent < target && expected >= UInt64(unsent)
    }

    /// Returns whether the unsent bytes reach the target; false if coalescing is off.
    func reachesTarget(_ unsent: Int) -> Bool {
        target > 0 && unsent >= target
    }

    /// Returns the expected time in nanoseconds until the target is reached.
    func wait(with unsent: Int) -> UInt64 {
        guard expected > 0, unsent < target else { return 0 }
        let time = Self.limit.multipliedFullWidth(by: UInt64(target - unsent))
        guard time.high < expected else { return Self.limit }
        return min(Self.limit, expected.dividingFullWidth(time).quotient)
    }
}

/// Returns the time of CLOCK_MONOTONIC in nanoseconds.
package func monotonicTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

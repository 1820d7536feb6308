/// A time limit for an operation of several waits.
package struct Deadline: Sendable, Comparable {
    let time: ContinuousClock.Instant

    package static func < (first: Deadline, second: Deadline) -> Bool { first.time < second.time }

    /// Returns a deadline a duration from now.
    package static func after(_ duration: Duration) -> Deadline {
        Deadline(time: .now + duration)
    }

    /// The milliseconds that remain for a wait, rounded up; 0 after the deadline.
    package var milliseconds: Int32 {
        let left = (time - .now) / .milliseconds(1)
        return left > 0 ? Int32(min(left.rounded(.up), Double(Int32.max))) : 0
    }
}

/// When the time for something is up, however many steps it takes.
package struct Deadline: Sendable, Comparable {
    let time: ContinuousClock.Instant

    package static func < (first: Deadline, second: Deadline) -> Bool { first.time < second.time }

    /// So long from now.
    package static func after(_ duration: Duration) -> Deadline {
        Deadline(time: .now + duration)
    }

    /// Milliseconds left for one wait: zero once time is up, and never less than is left.
    package var milliseconds: Int32 {
        let left = (time - .now) / .milliseconds(1)
        return left > 0 ? Int32(min(left.rounded(.up), Double(Int32.max))) : 0
    }
}

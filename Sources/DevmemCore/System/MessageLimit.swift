/// Limits how often a message is logged that peers can cause as often as they like: once a minute.
struct MessageLimit {
    private static let interval: Duration = .seconds(60)

    private var last: ContinuousClock.Instant?

    /// Decides about the message; one that may be logged counts.
    ///
    /// - Parameter now: the time.
    /// - Returns: whether it may be logged.
    mutating func admits(at now: ContinuousClock.Instant = .now) -> Bool {
        if let last, now - last < Self.interval { return false }
        last = now
        return true
    }
}

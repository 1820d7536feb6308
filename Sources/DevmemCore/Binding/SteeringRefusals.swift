/// Records steering changes that a driver refused, and when to retry them. Pure.
///
/// The cause may be temporary, such as disabled flow rules or a full table.
struct SteeringRefusals {
    /// The retry interval; long enough for slow firmware.
    static let interval = Duration.seconds(30)
    /// The retry interval for causes that pass soon. An attempt may itself trigger a notification,
    /// which must not trigger the next attempt.
    static let shortInterval = Duration.seconds(2)

    private struct Entry {
        var sentence: String
        var retryAt: ContinuousClock.Instant
    }

    private var entries: [String: Entry] = [:]

    /// Returns whether a loss may be retried now.
    func isDue(_ loss: String, at now: ContinuousClock.Instant) -> Bool {
        entries[loss].map { now >= $0.retryAt } ?? true
    }

    /// Returns the message logged for a loss; nil if there is none.
    func sentence(of loss: String) -> String? { entries[loss]?.sentence }

    /// Records a refusal.
    mutating func note(
        _ sentence: String, of loss: String, isTransient: Bool = false,
        at now: ContinuousClock.Instant
    ) {
        let wait = isTransient ? Self.shortInterval : Self.interval
        entries[loss] = Entry(sentence: sentence, retryAt: now + wait)
    }

    /// Forgets the refusals of all other losses.
    mutating func keep(_ losses: [String]) {
        entries = entries.filter { losses.contains($0.key) }
    }
}

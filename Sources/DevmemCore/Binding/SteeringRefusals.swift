/// What a driver refused to steer again, and when to ask it again. Pure.
///
/// What stood in the way may pass: flow rules that were turned off, a table that was full.
struct SteeringRefusals {
    /// Rare enough for firmware that answers slowly.
    static let interval = Duration.seconds(30)
    /// For what passes soon. An attempt may itself cause a notification, which must not cause the
    /// next attempt.
    static let shortInterval = Duration.seconds(2)

    private struct Entry {
        var sentence: String
        var retryAt: ContinuousClock.Instant
    }

    private var entries: [String: Entry] = [:]

    /// Whether a loss may be mended now.
    func isDue(_ loss: String, at now: ContinuousClock.Instant) -> Bool {
        entries[loss].map { now >= $0.retryAt } ?? true
    }

    /// What was logged when a loss could not be mended; nil if nothing was.
    func sentence(of loss: String) -> String? { entries[loss]?.sentence }

    /// Records a refusal.
    mutating func note(
        _ sentence: String, of loss: String, passesSoon: Bool = false,
        at now: ContinuousClock.Instant
    ) {
        let wait = passesSoon ? Self.shortInterval : Self.interval
        entries[loss] = Entry(sentence: sentence, retryAt: now + wait)
    }

    /// Forgets all refusals but those of some losses.
    mutating func keep(_ losses: [String]) {
        entries = entries.filter { losses.contains($0.key) }
    }
}

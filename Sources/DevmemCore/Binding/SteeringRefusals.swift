/// What a driver has refused to steer again, and when it is asked again. Pure.
///
/// What stood in the way may pass: flow rules that were turned off, a table that was full.
struct SteeringRefusals {
    /// Seldom enough for a firmware that answers slowly.
    static let interval = Duration.seconds(30)
    /// For what passes soon. An attempt may itself be a change that the kernel tells of, and must
    /// not bring on the next.
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

    /// What was said when a loss could not be mended; nil if nothing was.
    func sentence(of loss: String) -> String? { entries[loss]?.sentence }

    /// Takes a refusal in, in a sentence.
    mutating func note(
        _ sentence: String, of loss: String, passesSoon: Bool = false,
        at now: ContinuousClock.Instant
    ) {
        let wait = passesSoon ? Self.shortInterval : Self.interval
        entries[loss] = Entry(sentence: sentence, retryAt: now + wait)
    }

    /// Forgets all but those of some losses.
    mutating func keep(_ losses: [String]) {
        entries = entries.filter { losses.contains($0.key) }
    }
}

/// What a driver has refused to steer again, and when it is asked again. Pure.
///
/// What stood in the way may pass: flow rules that were turned off, a table that was full.
struct SteeringRefusals {
    /// Seldom enough for a firmware that answers slowly.
    static let interval = Duration.seconds(30)

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
    mutating func note(_ sentence: String, of loss: String, at now: ContinuousClock.Instant) {
        entries[loss] = Entry(sentence: sentence, retryAt: now + Self.interval)
    }

    /// Forgets all but those of some losses.
    mutating func keep(_ losses: [String]) {
        entries = entries.filter { losses.contains($0.key) }
    }
}

/// Distinguishes a NIC that was removed from one that moved to another network namespace. Pure.
///
/// The kernel removes the NIC from its list some time before it notifies which of the two happened.
struct NICDisappearance {
    enum Verdict: Equatable {
        /// The kernel has not sent the notification yet.
        case undecided
        case removed
        case moved
    }

    /// How long to wait for the notification, which may be lost.
    static let timeout = Duration.seconds(2)

    private var missingSince: ContinuousClock.Instant?
    private var verdict = Verdict.undecided

    /// Records notifications.
    mutating func note(_ news: NICMonitor.News) {
        if news.isGone { verdict = news.isMoved ? .moved : .removed }
    }

    /// Returns the verdict on a NIC that is not listed.
    mutating func judge(at now: ContinuousClock.Instant) -> Verdict {
        let since = missingSince ?? now
        missingSince = since
        guard verdict == .undecided, now - since >= Self.timeout else { return verdict }
        return .removed
    }

    /// Records that the NIC is listed.
    mutating func isListed() { self = NICDisappearance() }
}

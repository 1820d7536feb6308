/// Tells a NIC that was removed from one that has moved to another network namespace. Pure.
///
/// The kernel lists the NIC no longer some time before it says which of the two it was.
struct NICAbsence {
    enum Verdict: Equatable {
        /// The kernel has not said yet.
        case undecided
        case removed
        case moved
    }

    /// How long the kernel's word is waited for; a notification may be lost.
    static let patience = Duration.seconds(2)

    private var missingSince: ContinuousClock.Instant?
    private var verdict = Verdict.undecided

    /// Takes in what the kernel has told.
    mutating func note(_ news: NICMonitor.News) {
        if news.isGone { verdict = news.isMoved ? .moved : .removed }
    }

    /// Judges a NIC that is not listed.
    mutating func judge(at now: ContinuousClock.Instant) -> Verdict {
        let since = missingSince ?? now
        missingSince = since
        guard verdict == .undecided, now - since >= Self.patience else { return verdict }
        return .removed
    }

    /// Takes in that the NIC is listed.
    mutating func isListed() { self = NICAbsence() }
}

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

    /// Finds out whether a NIC that answers with `ENODEV` is gone along with its settings.
    ///
    /// - Parameters:
    ///   - clock: returns the time.
    ///   - look: returns what the kernel has reported since the last look, and whether it lists the NIC.
    ///   - wait: waits for the next report, for at most 100 ms; false if it cannot.
    /// - Returns: false if the NIC was moved, or is still listed after 2 s, as after a reset.
    mutating func isRemoved(
        clock: () -> ContinuousClock.Instant = { .now },
        look: () -> (news: NICMonitor.News, isListed: Bool), wait: () -> Bool
    ) -> Bool {
        let end = clock() + Self.timeout
        repeat {
            let found = look()
            note(found.news)
            if found.isListed {
                isListed()
            } else {
                let verdict = judge(at: clock())
                if verdict != .undecided { return verdict == .removed }
            }
            // No report comes for a NIC that the driver detaches and attaches again.
            guard wait() else { return false }
        } while clock() < end
        // The report may be lost.
        return missingSince != nil
    }
}

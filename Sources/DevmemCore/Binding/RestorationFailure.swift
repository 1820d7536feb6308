import Logging

/// Settings of a NIC that could not be restored at the end of a session.
struct RestorationFailure {
    /// What went wrong.
    let error: DevmemError

    /// Puts it where a user sees it: in the session's report, or else in the log, as a session that
    /// ends by a signal or a refusal shows no other failure.
    ///
    /// - Parameters:
    ///   - failure: the report's failure, which stays if there is one.
    ///   - isShown: whether the report's failure is shown.
    ///   - logger: receives at level error what the report does not show.
    func note(in failure: inout String?, isShown: Bool, logger: Logger) {
        if failure != nil || !isShown { logger.error("\(error)") }
        failure = failure ?? error.description
    }
}

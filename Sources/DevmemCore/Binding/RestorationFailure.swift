package import Logging

/// Tells of settings that could not be put back: in a report if that is where a user sees it, and
/// otherwise in the log, as a session that ends by a signal or a refusal shows no other failure.
///
/// - Parameters:
///   - error: what went wrong.
///   - failure: the report's failure, which stays if there is one.
///   - isShown: whether the report's failure is shown.
///   - logger: is told at level error of what the report does not show.
package func note(
    restoring error: DevmemError, in failure: inout String?, isShown: Bool, logger: Logger
) {
    if failure != nil || !isShown { logger.error("\(error)") }
    failure = failure ?? error.description
}

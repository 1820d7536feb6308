import Logging

extension DevmemError {
    /// Records this failure to restore a NIC's settings at the end of a session where the user sees
    /// it: in the session's report, or in the log if the report does not show it, as after a signal
    /// or another failure.
    ///
    /// - Parameters:
    ///   - failure: the report's failure, set if it is nil.
    ///   - isShown: whether the report's failure is shown.
    ///   - logger: logs the error at level error if the report does not show it.
    func noteRestoreFailure(in failure: inout String?, isShown: Bool, logger: Logger) {
        if failure != nil || !isShown { logger.error("\(self)") }
        failure = failure ?? description
    }
}

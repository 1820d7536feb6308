package import Logging

/// Logs that a resource for new connections is exhausted: rarely, as the session accepts no connection
/// meanwhile and retries.
package struct ExhaustionLog {
    private let logger: Logger
    private var limit = MessageLimit()

    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// Logs the error unless one was logged a short time ago.
    package mutating func tell(_ shortage: DevmemError) {
        guard limit.admits() else { return }
        logger.warning("\(shortage); connections wait until there is enough")
    }
}

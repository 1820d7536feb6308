package import Logging

/// Logs exhausted resources, at most once a minute.
package struct ExhaustionLog {
    private static let interval: Duration = .seconds(60)

    private let logger: Logger
    private var last: ContinuousClock.Instant?

    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// Logs the error unless one was logged within the interval.
    package mutating func tell(_ shortage: DevmemError) {
        let now = ContinuousClock.now
        if let last, now - last < Self.interval { return }
        last = now
        logger.warning("\(shortage); connections wait until there is enough")
    }
}

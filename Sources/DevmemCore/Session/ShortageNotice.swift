package import Logging

/// Tells what a host is short of, and not again at each try.
package struct ShortageNotice {
    private static let interval: Duration = .seconds(60)

    private let logger: Logger
    private var last: ContinuousClock.Instant?

    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// Tells of it unless that was done just now.
    package mutating func tell(_ shortage: DevmemError) {
        let now = ContinuousClock.now
        if let last, now - last < Self.interval { return }
        last = now
        logger.warning("\(shortage); connections wait until there is enough")
    }
}

package import Logging

extension Logger {
    /// A logger that discards everything, for callers without a log.
    package static var silent: Logger {
        Logger(label: "devmemtcp") { _ in SwiftLogNoOpLogHandler() }
    }
}

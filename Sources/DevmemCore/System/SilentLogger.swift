package import Logging

extension Logger {
    /// Logs nothing, for callers that have no log.
    package static var silent: Logger {
        Logger(label: "devmemtcp") { _ in SwiftLogNoOpLogHandler() }
    }
}

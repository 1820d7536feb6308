import Glibc
import Logging

/// Writes a line, or any text, to standard error at once.
func writeError(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Logs to standard error, one line an entry, without dates: the reader is there.
struct ErrorLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        writeError("devmemtcp: \(event.message)\n")
    }
}

extension CommonOptions {
    /// A logger as loud as the options ask.
    var logger: Logger {
        let level: Logger.Level = quiet ? .error : verbose ? .debug : .notice
        return Logger(label: "devmemtcp") { _ in ErrorLogHandler(logLevel: level) }
    }
}

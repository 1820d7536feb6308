import DevmemCore
import Glibc
import Logging
import SystemPackage

/// Writes a line, or any text, to standard error at once; it may hold words of others.
func writeError(_ text: String) {
    writeTerminal(printable(text, keepsLines: true))
}

/// Writes text of this program's own, which may move the cursor, to standard error at once.
func writeTerminal(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Writes text to standard output at once, for results that come bit by bit.
///
/// - Throws: `DevmemError` of kind `system` if nobody takes it.
func writeOutput(_ text: String) throws(DevmemError) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
        if count > 0 {
            rest = rest.dropFirst(count)
        } else if errno != EINTR {
            throw DevmemError(
                .system, call: "write standard output", errno: Errno(rawValue: errno))
        }
    }
}

/// How many lines and columns the terminal at standard output has; nil if there is none.
func terminalSize() -> (rows: Int, columns: Int)? {
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 else {
        return nil
    }
    // One that does not know its size, as a serial line, is taken for the usual one.
    return (size.ws_row > 0 ? Int(size.ws_row) : 24, size.ws_col > 0 ? Int(size.ws_col) : 80)
}

/// Logs to standard error, one line an entry, without dates: the reader is there.
struct ErrorLogHandler: LogHandler {
    /// What stands before each line.
    var name: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        writeError("\(name): \(printable(event.message.description))\n")
    }
}

extension CommonOptions {
    /// A logger as loud as the options ask.
    var logger: Logger {
        let level: Logger.Level = quiet ? .error : verbose ? .debug : .notice
        return Logger(label: "devmemtcp") { ErrorLogHandler(name: $0, logLevel: level) }
    }
}

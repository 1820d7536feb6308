import DevmemCore
import DevmemTools
import Glibc
import Logging

/// Returns the size of the terminal at standard output; nil if it is not a terminal.
func terminalSize() -> (rows: Int, columns: Int)? {
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 else {
        return nil
    }
    // A terminal of unknown size, such as a serial line, counts as 80 columns by 24 rows.
    return (size.ws_row > 0 ? Int(size.ws_row) : 24, size.ws_col > 0 ? Int(size.ws_col) : 80)
}

/// A log handler that writes one line per entry to standard error, without time stamps.
struct ErrorLogHandler: LogHandler {
    /// The prefix of each line.
    var name: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        LiveLine.standard.interrupt {
            writeError("\(name): \(printable(event.message.description))\n")
        }
    }
}

extension CommonOptions {
    /// A logger with the level that the options select.
    var logger: Logger {
        let level: Logger.Level = quiet ? .error : verbose ? .debug : .notice
        return Logger(label: "devmemtcp") { ErrorLogHandler(name: $0, logLevel: level) }
    }
}

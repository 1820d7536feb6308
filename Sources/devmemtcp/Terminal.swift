import DevmemCore
import DevmemTools
import Glibc
import Logging

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
        LiveLine.standard.interrupt {
            writeError("\(name): \(printable(event.message.description))\n")
        }
    }
}

extension CommonOptions {
    /// A logger as loud as the options ask.
    var logger: Logger {
        let level: Logger.Level = quiet ? .error : verbose ? .debug : .notice
        return Logger(label: "devmemtcp") { ErrorLogHandler(name: $0, logLevel: level) }
    }
}

import Logging
import Synchronization

/// The logged messages, a line each.
final class LoggedLines: Sendable {
    private let all = Mutex<[String]>([])

    var lines: [String] { all.withLock { $0 } }

    func add(_ line: String) { all.withLock { $0.append(line) } }
}

/// Records log messages with their level.
struct RecordingLogHandler: LogHandler {
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.trace
    private let log: LoggedLines

    init(_ log: LoggedLines) {
        self.log = log
    }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        log.add("\(event.level): \(event.message)")
    }
}

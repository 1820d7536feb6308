import DevmemCore
import DevmemTools
import Glibc
import Synchronization
import SystemPackage

/// The descriptors on which only part of a text was written.
private let cutShort = Mutex<Set<Int32>>([])

/// The standard stream that a report goes to. All output of a command goes through here, so that a
/// full disk or a closed pipe is reported as an error.
enum ReportStream: Sendable {
    case output, error

    private var number: Int32 { self == .output ? STDOUT_FILENO : STDERR_FILENO }
    private var name: String { self == .output ? "standard output" : "standard error" }

    /// Writes a whole text. Unprintable characters, which may come from a NIC's name for example,
    /// are escaped.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of write(2).
    func write(_ text: String) throws(DevmemError) {
        try writeForTerminal(printable(text, keepsLines: true))
    }

    /// Writes text that contains control sequences for the cursor or colours. The caller has
    /// escaped any foreign text in it.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of write(2).
    func writeForTerminal(_ text: String) throws(DevmemError) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
                continue
            }
            switch Errno(rawValue: errno) {
            case .interrupted: continue
            case .wouldBlock:
                // A process that shares the stream has set O_NONBLOCK.
                _ = try? poll(number, for: .output, milliseconds: -1)
            case let code:
                if rest.count < text.utf8.count { cutShort.withLock { _ = $0.insert(number) } }
                throw failure(code)
            }
        }
    }

    /// Whether only part of a text was written, so that further output could not be parsed.
    var isCutShort: Bool { cutShort.withLock { $0.contains(number) } }

    /// Closes the stream. Some file systems report only on close that data could not be stored
    /// (NFS, quotas).
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of close(2).
    func close() throws(DevmemError) {
        guard Glibc.close(number) != 0 else { return }
        let code = Errno(rawValue: errno)
        // Linux closes the descriptor even on EINTR.
        if code != .interrupted { throw failure(code) }
    }

    private func failure(_ code: Errno) -> DevmemError {
        DevmemError(.system, call: "write to \(name)", errno: code)
    }
}

/// A report for a command that must continue if it cannot be written. It keeps the first failure
/// until the command can stop.
struct DeferredErrorStream {
    var stream = ReportStream.output
    private(set) var failure: DevmemError?

    init(_ stream: ReportStream = .output) {
        self.stream = stream
    }

    /// Writes a text, unless an earlier write has failed.
    mutating func write(_ text: String) {
        guard failure == nil else { return }
        do throws(DevmemError) { try stream.write(text) } catch { failure = error }
    }

    /// Throws the first failure, if there was one.
    ///
    /// - Throws: `DevmemError` of a failed write.
    func check() throws(DevmemError) {
        if let failure { throw failure }
    }
}

/// Writes text to standard output.
///
/// - Throws: `DevmemError` of kind `system` if the write fails.
func writeOutput(_ text: String) throws(DevmemError) { try ReportStream.output.write(text) }

/// Writes text to standard error with unprintable characters escaped. A failure cannot be reported.
func writeError(_ text: String) { try? ReportStream.error.write(text) }

/// Writes this program's own text to standard error; it may contain control sequences.
func writeTerminal(_ text: String) { try? ReportStream.error.writeForTerminal(text) }

/// Opens /dev/null for each standard stream that is closed at start. Otherwise a file that is
/// opened later would get the number, and output would go into it. Reads and writes on the
/// placeholder fail.
func fillClosedStandardStreams() {
    for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) < 0 {
        _ = Glibc.open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
}

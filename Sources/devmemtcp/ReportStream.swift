import DevmemCore
import DevmemTools
import Glibc
import Synchronization
import SystemPackage

/// The descriptors on which only part of a text was written.
private let cutShort = Mutex<Set<Int32>>([])

/// Whether a signal has ended the wait for a reader.
private let isGivenUp = Mutex(false)

/// The standard stream that a report goes to. All output of a command goes through here, so that a
/// full disk or a closed pipe is reported as an error.
enum ReportStream: Sendable {
    case output, error

    /// A pipe that takes anything takes as many bytes: PIPE_BUF (pipe(7)).
    private static let mostAtOnce = 4096

    private var number: Int32 { self == .output ? STDOUT_FILENO : STDERR_FILENO }
    private var name: String { self == .output ? "standard output" : "standard error" }

    /// Writes a whole text. Unprintable characters, which may come from a NIC's name for example,
    /// are escaped.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of write(2), EINTR also if a signal
    ///   comes while nobody reads.
    func write(_ text: String) throws(DevmemError) {
        try writeForTerminal(printable(text, keepsLines: true))
    }

    /// Writes text that contains control sequences for the cursor or colours. The caller has
    /// escaped any foreign text in it.
    ///
    /// - Throws: `DevmemError` as from `write`.
    func writeForTerminal(_ text: String) throws(DevmemError) {
        var rest = Array(text.utf8)[...]
        var isPartial: Bool { rest.count < text.utf8.count }
        while !rest.isEmpty {
            guard takesMore() else {
                throw failure(.interrupted, "nobody reads it", isPartial: isPartial)
            }
            let count = rest.prefix(Self.mostAtOnce).withUnsafeBytes {
                Glibc.write(number, $0.baseAddress, $0.count)
            }
            if count > 0 {
                rest = rest.dropFirst(count)
                continue
            }
            switch Errno(rawValue: errno) {
            // A process that shares the stream may have set O_NONBLOCK, and have written since.
            case .interrupted, .wouldBlock: continue
            case let code: throw failure(code, isPartial: isPartial)
            }
        }
    }

    /// Waits until a write does not block. A command that has blocked signals would not see them in a
    /// write for which nobody makes room: false if one comes, and then nothing waits any more.
    private func takesMore() -> Bool {
        let wait: Int32 = isGivenUp.withLock { $0 } ? 0 : -1
        // What the stream is like, write(2) says too.
        guard let isReady = try? awaitOutput(number, milliseconds: wait) else { return true }
        if !isReady { isGivenUp.withLock { $0 = true } }
        return isReady
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

    private func failure(
        _ code: Errno, _ message: String? = nil, isPartial: Bool = false
    ) -> DevmemError {
        if isPartial { cutShort.withLock { _ = $0.insert(number) } }
        return DevmemError(.system, call: "write to \(name)", errno: code, message: message)
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

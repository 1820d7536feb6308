import DevmemCore
import DevmemTools
import Glibc
import Synchronization
import SystemPackage

/// The descriptors on which a text was written in part only.
private let cutShort = Mutex<Set<Int32>>([])

/// The standard stream that a report goes to. Everything a command prints goes through here, so that
/// a full disk or a closed pipe is a failure and not a report that nobody got.
enum ReportStream: Sendable {
    case output, error

    private var number: Int32 { self == .output ? STDOUT_FILENO : STDERR_FILENO }
    private var name: String { self == .output ? "standard output" : "standard error" }

    /// Writes all of a text, which may hold words of others, such as a NIC's name.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of write(2).
    func write(_ text: String) throws(DevmemError) {
        try writeForTerminal(printable(text, keepsLines: true))
    }

    /// Writes text that moves the cursor or has colours; what is of others in it is printable already.
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
                // Someone who shares the stream has made it non-blocking.
                _ = try? poll(number, for: .output, milliseconds: -1)
            case let code:
                if rest.count < text.utf8.count { cutShort.withLock { _ = $0.insert(number) } }
                throw failure(code)
            }
        }
    }

    /// Whether a text was written in part only, so that whatever follows cannot be read.
    var isCutShort: Bool { cutShort.withLock { $0.contains(number) } }

    /// Closes the stream for good: some file systems tell only then that they could not keep what
    /// was written (NFS, quotas).
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of close(2).
    func close() throws(DevmemError) {
        guard Glibc.close(number) != 0 else { return }
        let code = Errno(rawValue: errno)
        // Linux has closed it even if a signal came.
        if code != .interrupted { throw failure(code) }
    }

    private func failure(_ code: Errno) -> DevmemError {
        DevmemError(.system, call: "write to \(name)", errno: code)
    }
}

/// A report for those who must go on where it cannot be written: the first failure is kept until
/// they can stop.
struct LenientReport {
    var stream = ReportStream.output
    private(set) var failure: DevmemError?

    init(_ stream: ReportStream = .output) {
        self.stream = stream
    }

    /// Writes a text, unless a write has failed before.
    mutating func write(_ text: String) {
        guard failure == nil else { return }
        do throws(DevmemError) { try stream.write(text) } catch { failure = error }
    }

    /// - Throws: `DevmemError`, the first failure.
    func check() throws(DevmemError) {
        if let failure { throw failure }
    }
}

/// Writes text to standard output.
///
/// - Throws: `DevmemError` of kind `system` if it cannot be written.
func writeOutput(_ text: String) throws(DevmemError) { try ReportStream.output.write(text) }

/// Writes text to standard error, where nothing can be told of a failure; it may hold words of others.
func writeError(_ text: String) { try? ReportStream.error.write(text) }

/// Writes text of this program's own, which may move the cursor, to standard error.
func writeTerminal(_ text: String) { try? ReportStream.error.writeForTerminal(text) }

/// Fills standard streams that whoever started the program has closed. A file opened later would get
/// their number, and be written to in their place; on what is put there reading or writing fails.
func occupyStandardStreams() {
    for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) < 0 {
        _ = Glibc.open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
}

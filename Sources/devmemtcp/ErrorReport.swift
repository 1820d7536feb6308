import ArgumentParser
import DevmemCore
import DevmemTools
import SystemPackage

/// The JSON that a command prints with `--json` if it fails before it has a report. The keys are
/// stable; `version` increases with an incompatible change.
struct ErrorReport: Encodable {
    /// An error split into its parts.
    struct Failure: Encodable {
        /// The whole error on one line, as printed on standard error.
        var text: String
        /// The origin: `system`, `netlink` and so on; `usage` for a wrong command line, `other` for
        /// the rest.
        var kind: String
        /// The operation that failed.
        var call: String?
        /// The kernel's error number.
        var errno: Int32?
        /// The kernel's extack text, or what exactly is wrong.
        var message: String?
        /// The netlink attribute that the kernel rejects.
        var attribute: String?
        /// What the user can do about it.
        var advice: String?
    }

    let version = 1
    /// This host's name, for those who collect the output of many hosts.
    let host = HostIdentity.current.name
    /// The time of the error.
    let time = timeStamp()
    var error: Failure

    init(_ error: DevmemError) {
        self.error = Failure(
            text: error.description, kind: error.kind.rawValue, call: error.operation.text,
            errno: error.errno?.rawValue, message: error.message, attribute: error.attribute,
            advice: error.advice?.text())
    }

    /// Creates a report of an error that no command has reported, which ends the program with
    /// `status`.
    init(_ error: any Error, status: Int32) {
        if let known = error as? DevmemError {
            self.init(known)
            return
        }
        let isUsage = status == ExitCode.validationFailure.rawValue
        let line = Devmemtcp.message(for: error).prefix { $0 != "\n" }
        self.init(Failure(text: String(line), kind: isUsage ? "usage" : "other"))
    }

    private init(_ failure: Failure) {
        error = failure
    }
}

/// Prints a `DevmemError` as one line on standard error and ends with exit status 1, or 128 plus a
/// signal's number. With `--json` an error object is printed in place of the report.
func reporting(
    _ options: CommonOptions, on stream: ReportStream = .output, _ body: () throws -> Void
) throws {
    do {
        try body()
    } catch let error as DevmemError {
        writeError("devmemtcp: \(error)\n")
        // After part of a report, another object would make the output unreadable. If this write
        // fails too, the line above has most likely said why.
        if options.json && !stream.isCutShort { try? stream.write(json(of: ErrorReport(error))) }
        throw error.signal.map { ExitCode(128 + $0) } ?? ExitCode.failure
    }
}

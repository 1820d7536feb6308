import ArgumentParser
import DevmemCore
import DevmemTools
import SystemPackage

/// What a command prints with `--json` when it fails before it has a report. The keys are stable;
/// `version` counts changes that would break a reader.
struct ErrorReport: Encodable {
    /// An error, part by part.
    struct Failure: Encodable {
        /// All of it in one line, as it stands on standard error.
        var text: String
        /// Where it comes from: `system`, `netlink` and so on; `usage` for a wrong command line, `other`
        /// for what is none of these.
        var kind: String
        /// What was being done.
        var call: String?
        /// The kernel's error number.
        var errno: Int32?
        /// The kernel's own text, or the detail of what is wrong.
        var message: String?
        /// The netlink attribute that the kernel objects to.
        var attribute: String?
        /// What to do about it.
        var advice: String?
    }

    let version = 1
    var error: Failure

    init(_ error: DevmemError) {
        self.error = Failure(
            text: error.description, kind: error.kind.rawValue, call: error.operation.text,
            errno: error.errno?.rawValue, message: error.message, attribute: error.attribute,
            advice: error.advice?.text())
    }

    /// Of an error that no command has reported, and the exit status that it leads to.
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

/// Turns the core's errors into one line on standard error and exit status 1, and with `--json` into
/// an object where the report would have gone.
func reporting(
    _ options: CommonOptions, on stream: ReportStream = .output, _ body: () throws -> Void
) throws {
    do {
        try body()
    } catch let error as DevmemError {
        writeError("devmemtcp: \(error)\n")
        // Behind a part of a report another object could not be read.
        // Where even this cannot be written, the line above has most likely said why.
        if options.json && !stream.isCutShort { try? stream.write(json(of: ErrorReport(error))) }
        throw error.signal.map { ExitCode(128 + $0) } ?? ExitCode.failure
    }
}

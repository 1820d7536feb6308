import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc

@main
struct Devmemtcp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devmemtcp",
        abstract: "Receive TCP payload straight into device memory, and send it from there.",
        discussion: """
            With device memory TCP a NIC writes TCP payload straight into a dma-buf, and sends payload from one; \
            headers go through the ordinary kernel stack. A command restores every NIC setting that it has changed \
            when it ends; after a kill -9, the next command on the NIC restores them, or steer restore.
            """,
        version: BuildVersion.text,
        // Each command sets `commandName`: deriving names from types takes half of the start-up
        // time.
        subcommands: [
            Serve.self, Connect.self, Doctor.self, Show.self, Steer.self, Bind.self,
            QueueCommand.self, Validate.self, Bench.self, RunAs.self, RemoteSubcommand.self,
        ])

    static func main() {
        fillClosedStandardStreams()
        resetInheritedSignals()
        ignoreFailingWrites()
        guard let words = startingArguments() else {
            writeError("devmemtcp: cannot read the command line (mount /proc)\n")
            Glibc.exit(1)
        }
        let arguments = Array(words.dropFirst())
        if Ncdevmem.isCalled(by: words.first) {
            let status = AdviceStyle.$current.withValue(Ncdevmem.style) {
                closing(Ncdevmem().run(arguments), as: Ncdevmem.name)
            }
            Glibc.exit(status)
        }
        Glibc.exit(closing(run(arguments), as: "devmemtcp"))
    }

    /// Runs the command that a command line names, and returns the exit status.
    private static func run(_ arguments: [String]) -> Int32 {
        do {
            var command = try CommandLineParser.parse(arguments)
            return AdviceStyle.$current.withValue(.of(type(of: command))) {
                do {
                    try command.run()
                    return 0
                } catch {
                    return conclude(error, of: arguments)
                }
            }
        } catch {
            return conclude(error, of: arguments)
        }
    }

    /// Prints what the argument parser makes of an error: help and version on standard output,
    /// errors on standard error.
    private static func conclude(_ error: any Error, of arguments: [String]) -> Int32 {
        let message = fullMessage(for: error)
        let status = exitCode(for: error).rawValue
        guard !message.isEmpty else { return status }
        do {
            if status == 0 {
                try writeOutput(CompletionScript.keepingColons(message) + "\n")
            } else {
                writeError(message + "\n")
                if requestsJSON(arguments) {
                    try writeOutput(json(of: ErrorReport(error, status: status)))
                }
            }
            return status
        } catch {
            writeError("devmemtcp: \(error)\n")
            return 1
        }
    }

    /// Returns the command line, the program's name first; nil if it cannot be read. An empty one
    /// would otherwise be parsed as a request for help.
    private static func startingArguments() -> [String]? {
        let words = CommandLine.arguments
        return words.isEmpty ? nil : words
    }

    /// Tells whether a command line that cannot be parsed asks for JSON.
    private static func requestsJSON(_ arguments: [String]) -> Bool {
        arguments.prefix { $0 != "--" }.contains("--json")
    }

    /// Closes standard output and returns the exit status, which is 1 if the output could not be
    /// stored.
    private static func closing(_ status: Int32, as name: String) -> Int32 {
        do {
            try ReportStream.output.close()
            return status
        } catch {
            writeError("\(name): \(error)\n")
            return status == 0 ? 1 : status
        }
    }
}

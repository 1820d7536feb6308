import Foundation
import Glibc

/// The command as a separate process.
struct CommandProcess {
    /// The result of a process.
    struct Result {
        var status: Int32
        var output: String
        var messages: String
    }

    /// The destination of standard output.
    enum Output: CaseIterable {
        case pipe, fullDisk, closedPipe, nothing
    }

    /// The program that was built along with the tests.
    private static let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "devmemtcp").path

    /// Runs a bash script to its end; `$0` is the program.
    static func run(script: String) throws -> Result {
        let process = Process()
        let pipe = Pipe()
        let messages = Pipe()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-c", script, program]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = messages
        try process.run()
        let text = try pipe.fileHandleForReading.readToEnd()
        let messageData = try messages.fileHandleForReading.readToEnd()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus,
            output: String(decoding: text ?? Data(), as: UTF8.self),
            messages: String(decoding: messageData ?? Data(), as: UTF8.self))
    }

    /// Runs the program to its end, under a given name and with a limit on open descriptors.
    static func run(
        _ arguments: [String], output: Output = .pipe, calledAs name: String = "devmemtcp",
        descriptors: Int? = nil
    ) throws -> Result {
        let process = Process()
        let pipe = Pipe()
        let messages = Pipe()
        // A shell closes descriptors, which Foundation cannot, and sets the name.
        let closing = output == .nothing ? " >&-" : ""
        process.executableURL = URL(filePath: "/bin/bash")
        let limit = descriptors.map { "ulimit -n \($0); " } ?? ""
        process.arguments =
            ["-c", limit + "exec -a \"$0\" \"$@\"\(closing)", name, program] + arguments
        process.standardError = messages
        process.standardInput = FileHandle.nullDevice
        switch output {
        case .pipe, .nothing: process.standardOutput = pipe
        case .fullDisk: process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
        case .closedPipe:
            process.standardOutput = pipe
            try pipe.fileHandleForReading.close()
        }
        try process.run()
        try pipe.fileHandleForWriting.close()
        let text = output == .pipe ? try pipe.fileHandleForReading.readToEnd() : nil
        let messageData = try messages.fileHandleForReading.readToEnd()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus,
            output: String(decoding: text ?? Data(), as: UTF8.self),
            messages: String(decoding: messageData ?? Data(), as: UTF8.self))
    }
}

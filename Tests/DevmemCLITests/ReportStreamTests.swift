import DevmemCore
import DevmemTools
import Foundation
import Glibc
import Testing

@testable import devmemtcp

@Suite struct ReportStreamTests {
    /// Commands that print without root and without a NIC.
    private static let commands: [[String]] = [
        ["--help"], ["--version"], ["serve", "--help"], ["--generate-completion-script", "bash"],
        ["show", "--all"], ["show", "--all", "--json"], ["doctor"], ["doctor", "--json"],
        ["validate", "--list"], ["validate", "--list", "--json"], ["validate", "lo"],
        ["validate", "lo", "--json"],
    ]

    private static let words: [CommandProcess.Output: String] = [
        .fullDisk: "No space left on device", .closedPipe: "Broken pipe",
        .nothing: "Bad file descriptor",
    ]

    @Test(arguments: commands, [CommandProcess.Output.fullDisk, .closedPipe, .nothing])
    func writeErrorIsOneLine(
        arguments: [String], output: CommandProcess.Output
    ) throws {
        let result = try CommandProcess.run(arguments, output: output)
        #expect(result.status == 1)
        #expect(
            result.messages
                == "devmemtcp: write to standard output: \(Self.words[output] ?? "")\n")
    }

    /// SIGXFSZ would end a command before it has restored the settings.
    @Test func aLimitOfFileSizesIsAFailureToo() throws {
        let result = try CommandProcess.run(
            script: """
                file=$(mktemp)
                (ulimit -f 0; "$0" doctor >"$file"); s=$?
                rm "$file"; exit $s
                """)
        #expect(result.status == 1)
        #expect(result.messages == "devmemtcp: write to standard output: File too large\n")
    }

    /// A command that has blocked signals, to restore a NIC before it ends, does not miss one in a write
    /// for which nobody makes room.
    @Test func aSignalEndsTheWaitForAReader() async {
        await #expect(processExitsWith: .exitCode(7)) {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0, dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO,
                let stop = try? StopSignal([SIGTERM])
            else { exit(1) }
            // To this thread: others of a test do not block it.
            raise(SIGTERM)
            for text in [String(repeating: "x", count: 200_000), "y"] {
                do throws(DevmemError) {
                    try ReportStream.output.write(text)
                    exit(2)
                } catch {
                    guard error.errno == .interrupted else { exit(3) }
                }
            }
            guard ReportStream.output.isCutShort else { exit(4) }
            // The session that has blocked it sees it too.
            exit(stop.pending() == SIGTERM ? 7 : 5)
        }
    }

    @Test func aSlowReaderGetsTheWhole() async {
        await #expect(processExitsWith: .exitCode(7)) {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0, dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO else { exit(1) }
            let (reader, size) = (ends[0], 200_000)
            Thread.detachNewThread {
                var total = 0
                var bytes = [UInt8](repeating: 0, count: 100)
                while total < size {
                    let count = read(reader, &bytes, bytes.count)
                    guard count > 0, bytes[..<count].allSatisfy({ $0 == UInt8(ascii: "x") }) else {
                        exit(2)
                    }
                    total += count
                }
                exit(7)
            }
            do throws(DevmemError) {
                try ReportStream.output.write(String(repeating: "x", count: size))
            } catch {
                exit(3)
            }
            while true { pause() }
        }
    }

    /// The name of a NIC must not inject control sequences into a terminal.
    @Test(.enabled(if: geteuid() == 0, "needs a network namespace"))
    func namesOfInterfacesArePrintable() throws {
        for json in ["", " --json"] {
            let result = try CommandProcess.run(
                script: """
                    export NAME=$'e\\e[31m\\xc2\\x9bX'
                    unshare --net bash -c 'ip link set lo name "$NAME" && exec "$0" show --all\(json)' "$0"
                    """)
            try #require(result.status == 0, "\(result.messages)")
            #expect(!result.output.contains("\u{1b}") && !result.output.contains("\u{9b}"))
            let shown = json.isEmpty ? #"e\x1b[31m\x9bX"# : #"e\u001b[31m\u009bX"#
            #expect(result.output.contains(shown), "\(result.output)")
        }
    }

    /// After part of a JSON object, a second object would make the output unreadable.
    @Test func nothingFollowsAPartOfAReport() throws {
        let result = try CommandProcess.run(
            script: """
                file=$(mktemp); head -c 1000 /dev/zero >"$file"
                (ulimit -f 1; "$0" show --all --json >>"$file"); s=$?
                tail -c 24 "$file" | grep -c '"error"'; rm "$file"; exit $s
                """)
        #expect(result.status == 1 && result.output == "0\n")
    }

    /// Without /proc the arguments are unknown; that must not be taken for a request for help.
    @Test(.enabled(if: geteuid() == 0, "needs a mount namespace"))
    func aCommandLineThatCannotBeReadIsAFailure() throws {
        let result = try CommandProcess.run(
            script: """
                unshare --mount bash -c 'umount --lazy /proc; exec "$0" --version' "$0"
                """)
        #expect(result.status == 1 && result.output.isEmpty)
        #expect(
            result.messages.hasSuffix("cannot read the command line (mount /proc)\n"), "\(result)")
    }

    /// Only one place writes to standard output, and it checks every write.
    @Test func nothingIsPrintedPastTheWriter() throws {
        let sources = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources")
        let files = FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)
        var seen = 0
        while let file = files?.nextObject() as? URL {
            guard file.pathExtension == "swift" else { continue }
            seen += 1
            let text = try String(contentsOf: file, encoding: .utf8)
            let calls = text.matches(
                of: /(^|[^.\w])(print|debugPrint|puts|fputs|printf|dump|putchar)\(/)
            #expect(calls.isEmpty, "\(file.lastPathComponent): \(calls.map(\.0))")
        }
        #expect(seen > 100)
    }
}

@Suite struct ErrorReportTests {
    private func object(_ arguments: [String]) throws -> [String: Any] {
        let result = try CommandProcess.run(arguments)
        let lines = result.output.split(separator: "\n")
        try #require(lines.count == 1)
        let value = try JSONSerialization.jsonObject(with: Data(lines[0].utf8))
        let whole = try #require(value as? [String: Any])
        #expect(whole["version"] as? Int == 1)
        #expect(whole["host"] as? String == HostIdentity.current.name)
        #expect((whole["time"] as? String)?.hasSuffix("Z") == true)
        return try #require(whole["error"] as? [String: Any])
    }

    @Test(arguments: [
        ["show", "nope"], ["steer", "show", "nope"], ["steer", "plan", "nope"],
        ["steer", "apply", "nope"], ["doctor", "nope"], ["bind", "nope", "--rx", "auto"],
        ["queue", "restart", "nope", "1"], ["validate", "nope"],
        ["serve", "--listen", ":1", "--discard", "--interface", "nope"],
        ["connect", "127.0.0.1:1", "--interface", "nope", "--discard"],
    ])
    func whatFailsEarlyPrintsAnObject(arguments: [String]) throws {
        let error = try object(arguments + ["--json"])
        #expect(error["kind"] as? String == "invalid")
        #expect((error["call"] as? String)?.contains("nope") == true)
        #expect(error["errno"] as? Int == 19)
        #expect(error["text"] as? String != nil && error["advice"] as? String != nil)
    }

    @Test func aWrongCommandLineIsAnObjectToo() throws {
        for arguments in [
            ["show", "--json", "--nope"], ["serve", "--json"],
            ["validate", "--filter", "x", "--json"],
        ] {
            #expect(try object(arguments)["kind"] as? String == "usage")
            #expect(try CommandProcess.run(arguments).status == 64)
        }
        // Options after `--` belong to the command to run.
        #expect(try CommandProcess.run(["bind", "--nope", "--", "x", "--json"]).output.isEmpty)
    }

    /// Only errors of the argument parser count as wrong usage.
    @Test func unknownErrorIsNotUsageError() {
        struct Odd: Error {}
        #expect(ErrorReport(Odd(), status: 1).error.kind == "other")
        #expect(ErrorReport(Odd(), status: 64).error.kind == "usage")
        let known = DevmemError(.system, call: "write", errno: .noSpace)
        #expect(ErrorReport(known, status: 1).error.kind == "system")
    }

    @Test func keysAreThoseOfTheManual() throws {
        let page = try String(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "man/devmemtcp.8"), encoding: .utf8)
        var error = DevmemError(.netlink, call: "bind-rx", errno: .invalidArgument)
        error.message = "m"
        error.attribute = "a"
        error.advice = "b"
        let keys = Set(
            try json(of: ErrorReport(error)).matches(of: /"([a-z_]+)":/).map { String($0.1) })
        #expect(keys.count == 11)
        for key in keys { #expect(page.contains(".B \(key)\n"), "key \(key)") }
    }
}

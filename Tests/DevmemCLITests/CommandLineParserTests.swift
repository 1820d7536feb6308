import ArgumentParser
import Testing

@testable import devmemtcp

@Suite struct CommandLineParserTests {
    /// A command parsed alone is the same as one parsed with the whole tree.
    @Test(arguments: [
        ["serve", "--listen", ":1"],
        [
            "serve", "-l", "192.0.2.1:5201", "--discard", "--queues", "last 2", "--memory", "4M",
            "--json", "-v", "--keep-open", "--connections=3",
        ],
        ["connect", "192.0.2.2:5201", "--pattern", "7", "--bytes", "1M"],
        ["connect", "--discard", "--", "192.0.2.2:5201"],
    ])
    func aCommandAloneIsTheSame(arguments: [String]) throws {
        let alone = try #require(CommandLineParser.parseAlone(arguments))
        #expect("\(alone)" == "\(try Devmemtcp.parseAsRoot(arguments))")
        #expect("\(try CommandLineParser.parse(arguments))" == "\(alone)")
    }

    /// Help, versions, completions and errors come from the whole tree, which knows their words.
    @Test(arguments: [
        [], ["show"], ["--version"], ["--help"], ["help", "serve"], ["serve"], ["serve", "--help"],
        ["serve", "-h"], ["serve", "--version"], ["serve", "-l", ":1", "--version"],
        ["serve", "--generate-completion-script", "bash"], ["serve", "--experimental-dump-help"],
        ["serve", "-l", ":1", "extra"], ["serve", "-l", ":1", "--connections", "0"],
        ["serve", "-l", ":1", "--unknown"], ["connect"], ["connect", ":5201"], ["--json", "serve"],
        ["---completion", "serve", "--", "--queues"],
    ])
    func everythingElseGoesToTheTree(arguments: [String]) {
        #expect(CommandLineParser.parseAlone(arguments) == nil)
        func outcome(_ parse: ([String]) throws -> any ParsableCommand) -> String {
            do {
                return "\(type(of: try parse(arguments)))"
            } catch {
                return Devmemtcp.fullMessage(for: error)
            }
        }
        #expect(outcome(CommandLineParser.parse) == outcome { try Devmemtcp.parseAsRoot($0) })
    }
}

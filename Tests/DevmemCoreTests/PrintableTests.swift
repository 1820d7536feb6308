import Foundation
import Glibc
import Testing

@testable import DevmemCore

/// Text from elsewhere cannot control the terminal.
@Suite struct PrintableTests {
    @Test func controlCharactersAreWrittenOut() {
        #expect(printable("caf\u{e9} \u{1f600}") == "caf\u{e9} \u{1f600}")
        #expect(printable("\u{1b}[2J\r\nok\u{7f}\0") == "\\x1b[2J\\x0d\\x0aok\\x7f\\x00")
        #expect(printable("\u{9b}31m\u{202e}x") == "\\x9b31m\\u{202e}x")
        #expect(printable("a\tb\n\u{1b}c\r\n", keepsLines: true) == "a\tb\n\\x1bc\\x0d\n")
    }

    /// JSON keeps its value but contains no terminal control characters.
    @Test func controlCharactersInJSONAreEscaped() throws {
        let value = ["\u{9b}31m\u{202e}\u{7f}\u{2028}\u{200f}x\u{e9}\u{1f600}", "\u{1b}\n\t\"\\"]
        let text = String(decoding: try JSONEncoder().encode(value), as: UTF8.self) + "\n"
        let shown = printableJSON(text)
        #expect(shown.hasPrefix(#"["\u009b31m\u202e\u007f\u2028\u200fx\#u{e9}\#u{1f600}","#))
        #expect(printable(shown, keepsLines: true) == shown)
        #expect(try JSONDecoder().decode([String].self, from: Data(shown.utf8)) == value)
    }

    /// A shell reads the word, and runs nothing in it.
    @Test(arguments: [
        ("enp65s0f0np0", "enp65s0f0np0"), ("a-b.100", "a-b.100"), ("", "''"), ("$(id)", "'$(id)'"),
        ("a;b", "'a;b'"), ("a'b", #"'a'\''b'"#), ("'\u{301}", "''\\''\u{301}'"), ("~", "'~'"),
    ])
    func wordsOfCommandsAreQuoted(text: String, word: String) {
        #expect(Array(shellWord(text).utf8) == Array(word.utf8))
    }

    @Test func anErrorIsOneLineWhateverIsInIt() {
        let error = DevmemError(
            .system, call: "talk", errno: .ioError, message: "no\ndevmemtcp: all is well\u{1b}[A",
            attribute: "\r", advice: "\u{7}")
        #expect(
            error.description
                == "talk: Input/output error, no\\x0adevmemtcp: all is well\\x1b[A, attribute \\x0d "
                + "(\\x07)")
    }

    @Test func aProcessCannotChooseAnyName() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let comm = try Descriptor.open("/proc/self/comm", O_WRONLY)
            guard write(comm.rawValue, "\u{1b}[31mx", 6) == 6 else { exit(1) }
            guard nameOfProcess(getpid()) == "\\x1b[31mx" else { exit(2) }
            exit(7)
        }
    }
}

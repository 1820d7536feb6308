import ArgumentParser
import DevmemCore
import DevmemTools
import Foundation
import Synchronization
import Testing

@testable import devmemtcp

/// Returns the names of the program's source files and their lines without comments.
private func sources(_ target: String = "") throws -> [(name: String, lines: [Substring])] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(
            path: "Sources/\(target)")
    let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    var found: [(String, [Substring])] = []
    while let file = files?.nextObject() as? URL {
        guard file.pathExtension == "swift" else { continue }
        let text = try String(contentsOf: file, encoding: .utf8)
        let lines = text.split(separator: "\n").filter {
            !$0.drop { $0 == " " }.hasPrefix("//")
        }
        found.append((file.lastPathComponent, lines))
    }
    return found
}

@Suite struct AdviceTests {
    @Test(arguments: AdvisedCommand.Action.allCases, ["eth1", "enp65s0f0np0", "a-b.100"])
    func everyAdvisedCommandParses(action: AdvisedCommand.Action, interface: String) throws {
        var arguments = AdvisedCommand(action, interface).arguments
        // Without the option it asks for confirmation on a terminal, which tests do not have.
        if action == .probe { arguments.append("--yes") }
        // A word stands for what the advice does not know.
        if let place = arguments.firstIndex(of: "QUEUE") { arguments[place] = "5" }
        let command = try Devmemtcp.parseAsRoot(arguments)
        #expect(!(command is Devmemtcp))
        // A command with subcommands would only list these.
        #expect(type(of: command).configuration.subcommands.isEmpty)
    }

    @Test func theNameOfAnInterfaceIsOneWord() {
        #expect(AdvisedCommand(.restore, "$(id)").line == "devmemtcp steer restore '$(id)'")
        #expect(AdvisedCommand(.checkHost).line == "devmemtcp doctor")
    }

    /// In commands of other programs too: as the value of `shellWord`, which may have a name.
    @Test func everyShownCommandQuotesTheInterface() throws {
        let advice: Advice = "ip link set \(.nic) up"
        #expect(advice.naming("$(id)").text() == "ip link set '$(id)' up")
        var seen = 0
        for (name, lines) in try sources() {
            // What is no command is passed over, as a regular expression takes long.
            let quoted = lines.filter { $0.contains("shellWord(") || $0.contains("shownName") }
                .compactMap {
                    $0.firstMatch(of: /(\w+) = (shellWord\(|facts\.shownName)/).map { String($0.1) }
                }
            for line in lines where line.contains("ethtool") || line.contains("ip link") {
                for match in line.matches(
                    of: /(ethtool|ip link set)( --?[\w-]+)? \\\(([^ )]*)/)
                {
                    seen += 1
                    let word = String(match.3)
                    let isQuoted = word == ".nic" || word.hasPrefix("shellWord(")
                    #expect(isQuoted || quoted.contains(word), "\(name): \(match.0)")
                }
            }
        }
        #expect(seen > 30)
    }

    /// Each parameter that advice can name is an option of a command; if advice names the command,
    /// of that one.
    @Test func everyAdvisedOptionIsKnown() throws {
        let known = try options()
        for parameter in Advice.Parameter.allCases {
            let words = parameter.option.split(separator: " ").map(String.init)
            let isKnown =
                words.count > 1
                ? known.contains(Array(words[2...] + words[..<1]))
                : known.contains { $0.last == words[0] }
            #expect(isKnown, "\(parameter.option)")
        }
        let queues = try #require(AdviceStyle.of(Bind.self).parameter(.queues))
        #expect(known.contains(["bind", queues]))
    }

    /// A command names the options that it has, and no others.
    @Test func everyCommandNamesItsOwnOptions() throws {
        let known = try options()
        var seen = 0
        func check(_ command: any ParsableCommand.Type, _ words: [String]) {
            for next in command.configuration.subcommands {
                check(next, words + [next._commandName])
            }
            guard command.configuration.subcommands.isEmpty else { return }
            let style = AdviceStyle.of(command)
            for parameter in Advice.Parameter.allCases where parameter != .port {
                let named = style.parameter(parameter)
                seen += named == nil ? 0 : 1
                let option = named ?? parameter.option
                #expect(
                    known.contains(words + [option]) == (named != nil), "\(words): \(option)")
            }
        }
        check(Devmemtcp.self, [])
        #expect(seen > 10)
    }

    /// Of two ways, a command names the one that it has.
    @Test func aWayThatACommandLacksIsNotNamed() throws {
        let advice: Advice = "name it: " + .any("\(.from) ADDR", "\(.flow) DST,\(.nic)")
        #expect(advice.text(in: .of(Serve.self)) == "name it: --from ADDR")
        #expect(advice.text(in: .of(Bind.self)) == "name it: --flow DST,IFACE")
        #expect(advice.naming("eth1").text(in: .of(Bind.self)) == "name it: --flow DST,eth1")
        #expect(advice.text(in: .of(Doctor.self)) == nil)
    }

    /// The library words advice without naming a command or an option; a program can override the
    /// words.
    @Test func adviceIsWordedByTheProgram() throws {
        let advice: Advice = "choose a smaller \(.memory), or \(AdvisedCommand(.restore, "eth1"))"
        #expect(
            "\(advice)" == "choose a smaller memory size, or restore the settings of eth1")
        AdviceStyle.$current.withValue(.of(Serve.self)) {
            #expect(
                "\(advice)" == "choose a smaller --memory, or devmemtcp steer restore eth1")
        }
        let parts =
            Advice.Parameter.allCases.map(\.description)
            + AdvisedCommand.Action.allCases.map { "\(AdvisedCommand($0, "eth1"))" }
        for words in parts { #expect(!words.contains("--") && !words.contains("devmemtcp")) }
    }

    /// A thread inherits the style of the thread that started it.
    @Test func threadsKeepTheStyle() throws {
        let (words, done) = (Words(), DispatchSemaphore(value: 0))
        try AdviceStyle.$current.withValue(.of(Bind.self)) {
            try runInThread {
                words.text.withLock { $0 = Advice.Parameter.queues.description }
                done.signal()
            }
        }
        #expect(done.wait(timeout: .now() + 60) == .success)
        #expect(words.text.withLock { $0 } == "--rx")
    }

    private final class Words: Sendable {
        let text = Mutex("")
    }

    /// Program logic must not depend on the texts of errors. Only `Refusal` matches the kernel's
    /// texts.
    @Test func noTextSteersTheProgram() throws {
        let matching =
            /[^A-Za-z](message|description|failure|advice|operation|text)[?!]?(\.text)?\.(contains|has(Pre|Suf)fix)\(/
        var seen = 0
        for (name, lines) in try sources() {
            for line in lines where line.contains(matching) {
                seen += 1
                let isOfInput = line.contains("text.hasPrefix(\"h")  // "hex:" and "heap:"
                #expect(name == "Refusal.swift" || isOfInput, "\(name): \(line)")
            }
        }
        #expect(seen > 0)
    }

    /// All advice uses the type `AdvisedCommand`, so the test above covers all of it.
    @Test func noOtherTextNamesACommandToRun() throws {
        let names = Set(Devmemtcp.configuration.subcommands.map { $0._commandName })
        var seen = 0
        for (name, lines) in try sources() {
            if name == "CommandAdvice.swift" { continue }
            for line in lines where line.contains("devmemtcp ") {
                let called = line.matches(of: /devmemtcp ([a-z]+)/).map { String($0.output.1) }
                guard called.contains(where: { names.contains($0) }) else { continue }
                seen += 1
                // Complete texts are the names of owners and a title; one is in the help.
                let isWhole = line.firstMatch(of: /[">]devmemtcp [a-z ]+["<]/) != nil
                let isHelp = line.contains("which runs devmemtcp bench serve")
                #expect(isWhole || isHelp, "\(name): \(line)")
            }
        }
        #expect(seen > 4)
    }

    /// The options with which this program starts itself as the remote side, and a draft.
    private static let hidden: Set = ["--netns", "--remove-self", "--bench", "--engine"]

    /// Texts of the library must not name options of a command.
    @Test func theLibraryKnowsNoOption() throws {
        var seen = 0
        for (name, lines) in try sources("DevmemCore") + sources("DevmemTools") {
            for line in lines where line.contains("\"") && !line.contains("ethtool ") {
                seen += 1
                let options = line.matches(of: /"[^"]*(--[a-z-]+)/).map { String($0.output.1) }
                #expect(Self.hidden.isSuperset(of: options), "\(name): \(line)")
            }
        }
        #expect(seen > 500)
    }

    /// An option in a text must exist in a command of this or another program.
    @Test func optionsInAdviceExist() throws {
        func all(_ type: any ParsableCommand.Type) -> String {
            Devmemtcp.helpMessage(for: type, columns: 1000)
                + type.configuration.subcommands.map { all($0) }.joined()
        }
        let help = all(Devmemtcp.self)
        var seen = 0
        let known = Set(help.matches(of: /--[a-z][a-z-]+/).map { String($0.output) })
        for (name, lines) in try sources() {
            for line in lines
            where line.contains("--") && line.contains("\"") && !line.contains("ethtool ") {
                for match in line.matches(of: /[ "\[(](--[a-z][a-z-]+)/) {
                    let option = String(match.output.1)
                    seen += 1
                    #expect(
                        known.contains(option) || Self.hidden.contains(option), "\(name): \(option)"
                    )
                }
            }
        }
        #expect(seen > 50)
    }
}

/// Returns the long options of all commands, each after the words of its command.
private func options(ofKinds kinds: Set<String> = ["option", "flag"]) throws -> [[String]] {
    do {
        _ = try Devmemtcp.parseAsRoot(["--experimental-dump-help"])
        return []
    } catch {
        let text = Devmemtcp.fullMessage(for: error)
        return try JSONDecoder().decode(ToolInfo.self, from: Data(text.utf8)).command
            .options(behind: [], ofKinds: kinds)
    }
}

/// An option as the argument parser dumps it.
private struct OptionInfo: Decodable {
    struct Name: Decodable {
        var kind: String
        var name: String
    }
    var kind: String
    var names: [Name]?
}

private struct CommandInfo: Decodable {
    var commandName: String
    var subcommands: [CommandInfo]?
    var arguments: [OptionInfo]?

    /// Returns the options of the given kinds, each after the words of its command.
    func options(behind words: [String], ofKinds kinds: Set<String>) -> [[String]] {
        let own = (arguments ?? []).filter { kinds.contains($0.kind) }.compactMap { option in
            option.names?.first { $0.kind == "long" }.map { words + ["--\($0.name)"] }
        }
        return own
            + (subcommands ?? []).flatMap {
                $0.options(behind: words + [$0.commandName], ofKinds: kinds)
            }
    }
}

private struct ToolInfo: Decodable {
    var command: CommandInfo
}

@Suite struct OptionValueTests {
    private func message(_ arguments: [String]) -> String {
        do {
            _ = try Devmemtcp.parseAsRoot(arguments)
            return ""
        } catch {
            return Devmemtcp.fullMessage(for: error)
        }
    }

    /// For each option that can have an invalid value, the error describes the valid form.
    @Test func invalidValuesGetTheValidForm() throws {
        var seen = 0
        for option in try options(ofKinds: ["option"]) {
            var message = ""
            do {
                _ = try Devmemtcp.parseAsRoot(option + ["?"])
            } catch {
                // Without the usage of all commands, which is slow to generate.
                message = Devmemtcp.message(for: error)
            }
            // Any text is a valid name or path.
            guard message.contains("is invalid for") else { continue }
            seen += 1
            #expect(
                message.contains("it takes") || message.contains("Please provide one of"),
                "\(message)")
        }
        #expect(seen > 40)
    }

    @Test(arguments: [
        ("16E", "it exceeds 18446744073709551615 bytes, the largest size; it takes a number"),
        ("18446744073709551616", "it exceeds"), ("4Q", "Q is not a unit; it takes"),
        ("64X", "X is not a unit"), ("lots", "it takes a number of bytes"),
    ])
    func sizesSayWhatIsWrong(text: String, words: String) {
        #expect(
            message(["connect", "host:1", "--pattern", "7", "--bytes", text]).contains(
                "'--bytes <size>': \(words)"))
    }

    @Test func sizesGoToTheLargest() {
        #expect(ByteSize(argument: "15E")?.bytes == 15 << 60)
        #expect(ByteSize(argument: "16383P")?.bytes == 16383 << 50)
        #expect(ByteSize(argument: "16384P") == nil)
    }

    @Test func numbersSayWhatIsTooLarge() {
        #expect(
            message(["queue", "restart", "eth1", "4294967296"])
                .contains("it exceeds 4294967295; it takes a whole number, such as 4"))
        #expect(message(["serve", "--listen", ":1", "--idle", "inf"]).contains("such as 2.5"))
    }

    @Test func defaultsAreShownAsBefore() {
        let help = Devmemtcp.helpMessage(for: Serve.self, columns: 200)
        #expect(help.contains("Size of the dma-buf. (default: 64M)"))
        #expect(help.contains("(default: auto)") && help.contains("(default: 1)"))
    }
}

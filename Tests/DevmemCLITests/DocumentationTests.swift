import ArgumentParser
@testable import DevmemCore
import DevmemTools
import Foundation
import Testing

@testable import devmemtcp

/// The repository's directory, two above this file's.
private let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

private func text(_ path: String) throws -> String {
    try String(contentsOf: repository.appending(path: path), encoding: .utf8)
}

/// Returns the long options in a text.
private func longOptions(in text: String) -> Set<String> {
    Set(text.matches(of: /(?:^|[^\w-])(--[a-z][a-z-]*)/).map { String($0.1) })
}

/// Converts a man page to plain text, without comments, escapes and font changes.
private func manual(_ name: String) throws -> String {
    try text("man/\(name)")
        .split(separator: "\n", omittingEmptySubsequences: false)
        .filter { !$0.hasPrefix(".\\\"") }
        .joined(separator: "\n")
        .replacing("\\-", with: "-")
        .replacing(/\\f[RBI]/, with: "")
}

/// Returns the long options that have an entry in the section OPTIONS of a page.
private func describedOptions(of page: String) -> Set<String> {
    let section = page.components(separatedBy: ".SH OPTIONS\n").dropFirst().first ?? ""
    let entries = section.components(separatedBy: "\n.SH ")[0].components(separatedBy: ".TP\n")
    let heads = entries.dropFirst().compactMap { $0.split(separator: "\n").first }
    return longOptions(in: heads.joined(separator: "\n"))
}

private let commands: [(name: String, type: any ParsableCommand.Type)] =
    Devmemtcp.configuration.subcommands.filter { $0.configuration.shouldDisplay }
    .map { ($0._commandName, $0) }

/// Returns a command, or its subcommands at the lowest level, with the words that call them.
private func leaves(
    _ name: String, _ type: any ParsableCommand.Type
) -> [(name: String, type: any ParsableCommand.Type)] {
    let children = type.configuration.subcommands
    return children.isEmpty
        ? [(name, type)] : children.flatMap { leaves("\(name) \($0._commandName)", $0) }
}

/// Returns the long options of a command and its subcommands.
private func options(of type: any ParsableCommand.Type) -> Set<String> {
    leaves("", type).reduce(into: []) {
        $0.formUnion(longOptions(in: Devmemtcp.helpMessage(for: $1.type)))
    }
}

@Suite struct DocumentationTests {
    @Test(arguments: commands.map(\.name)) func manualNamesExactlyTheOptionsOfHelp(
        name: String
    ) throws {
        let type = try #require(commands.first { $0.name == name }?.type)
        let help = options(of: type)
        let page = try manual("devmemtcp-\(name).8")
        #expect(help.count > 2)
        #expect(describedOptions(of: page) == help)
        // The rest of the page does not mention other options.
        #expect(longOptions(in: page) == help)
        for leaf in leaves(name, type) { #expect(page.contains(".B devmemtcp \(leaf.name)\n")) }
    }

    @Test(arguments: commands.map(\.name)) func commandsNameThemselves(name: String) throws {
        let type = try #require(commands.first { $0.name == name }?.type)
        #expect(type.configuration.commandName == name)
        for leaf in leaves("", type) { #expect(leaf.type.configuration.commandName != nil) }
    }

    @Test func versionIsOneAndNamesTheCommitIfItIsKnown() throws {
        #expect(BuildVersion.text(commit: "") == "devmemtcp \(BuildVersion.number)")
        #expect(BuildVersion.text(commit: "abc") == "devmemtcp \(BuildVersion.number) (abc)")
        let page = try text("man/devmemtcp.8")
        #expect(page.contains("\n.TH DEVMEMTCP 8 "))
        #expect(page.contains(" \"devmemtcp \(BuildVersion.number)\" "))
    }

    @Test func manualNamesEveryCommand() throws {
        let page = try manual("devmemtcp.8")
        for (name, _) in commands {
            #expect(page.contains("\n.B \(name)\n"))
            #expect(
                page.contains("devmemtcp-\(name) (8)") || page.contains(".BR devmemtcp-\(name)"))
        }
        let help = longOptions(in: Devmemtcp.helpMessage())
        #expect(help.isSubset(of: longOptions(in: page)))
    }

    @Test(arguments: [CompletionShell.bash, .zsh, .fish])
    func completionKnowsEveryOption(shell: CompletionShell) {
        let script = Devmemtcp.completionScript(for: shell)
        for (name, type) in commands {
            #expect(script.contains(name))
            for option in options(of: type) {
                // fish writes options without dashes.
                #expect(script.contains(shell == .fish ? String(option.dropFirst(2)) : option))
            }
        }
    }

    @Test func readmeUsesCommandsAndOptionsThatExist() throws {
        let lines = try text("README.md").split(separator: "\n")
        var examples = 0
        for line in lines {
            // A command, an optional interface, and options.
            let call = /devmemtcp ([a-z ]+?) ([a-z]+[0-9]+ )?(--?[a-z].*)/
            guard let match = line.firstMatch(of: call) else { continue }
            let type = commands.flatMap { leaves($0.name, $0.type) }.first { $0.name == match.1 }?
                .type
            #expect(type != nil, "no command in: \(line)")
            guard let type else { continue }
            let known = longOptions(in: Devmemtcp.helpMessage(for: type))
            #expect(longOptions(in: String(match.3)).isSubset(of: known), "\(line)")
            examples += 1
        }
        #expect(examples > 0)
    }

    @Test func readmeNamesEveryGuide() throws {
        let readme = try text("README.md")
        let guides = try FileManager.default.contentsOfDirectory(
            atPath: repository.appending(path: "man").path
        ).filter { $0.hasSuffix(".7") }
        #expect(guides.count > 3)
        for guide in guides {
            #expect(readme.contains("\(guide.dropLast(2))(7)"), "\(guide)")
        }
    }

    @Test func linksLeadToFiles() throws {
        let listed = try CommandProcess.run(
            script: "git -C '\(repository.path)' ls-files '*.md' 'man/*'")
        var links = 0
        for name in listed.output.split(separator: "\n").map(String.init) {
            let folder = repository.appending(path: name).deletingLastPathComponent()
            let content = try text(name)
            for match in content.matches(of: /\]\(([^)#:\s]+)(#[^)]*)?\)/) {
                let target = folder.appending(path: String(match.1)).path
                #expect(FileManager.default.fileExists(atPath: target), "\(match.1) in \(name)")
                links += 1
            }
            for match in content.replacing("\\-", with: "-").matches(
                of: /\.BR ((devmemtcp|ncdevmem)[a-z-]*) \(([78])\)/)
            {
                let page = repository.appending(path: "man/\(match.1).\(match.3)").path
                #expect(FileManager.default.fileExists(atPath: page), "\(match.0) in \(name)")
                links += 1
            }
        }
        #expect(links > 50)
    }

    @Test func readmeNamesEveryScript() throws {
        let readme = try text("README.md")
        let scripts = try FileManager.default.contentsOfDirectory(
            atPath: repository.appending(path: "scripts").path)
        #expect(!scripts.isEmpty)
        for script in scripts { #expect(readme.contains("scripts/\(script)")) }
    }

    @Test func manualNamesExactlyTheOptionsOfTheLab() throws {
        let lab = repository.appending(path: "scripts/lab").path
        let help = try CommandProcess.run(script: "'\(lab)' --help").output
        let options = longOptions(in: help.components(separatedBy: "\nOptions:\n").last ?? "")
        #expect(options.count > 20)
        let page = try manual("devmemtcp-lab.7")
        // One of prepare, which the help has in its usage.
        #expect(describedOptions(of: page) == options.union(["--refresh"]))
        for name in help.matches(of: /DEVMEMTCP_[A-Z_]+/) { #expect(page.contains(name.output)) }
        for status in [64, 123, 124, 125] { #expect(page.contains("\n.B \(status)\n")) }
    }

    @Test func everyPageIsNamedByTheMainPage() throws {
        let pages = try FileManager.default.contentsOfDirectory(
            atPath: repository.appending(path: "man").path)
        let main = try manual("devmemtcp.8")
        for page in pages where page != "devmemtcp.8" {
            let parts = page.split(separator: ".")
            #expect(main.contains(".BR \(parts[0]) (\(parts[1]))"), "\(page)")
            #expect(try text("man/\(page)").contains(".BR devmemtcp (8)"), "\(page)")
        }
    }

    @Test func packageNamesTheLicenceOfEveryDependency() throws {
        let names = try text("Package.swift").matches(of: /url: "[^"]*\/([a-z-]+)"/).map(\.1)
        #expect(names.count > 3)
        let copyright = try text("scripts/debian/copyright")
        for name in names { #expect(copyright.contains("\nFiles: \(name)/*\n"), "\(name)") }
    }

    @Test func unitOfSystemdRunsCommandsThatExist() throws {
        let unit = try text("scripts/systemd/devmemtcp-steer@.service")
        let example = try #require(unit.firstMatch(of: /STEER_OPTIONS=(.*)/)?.1)
        let commands = unit.matches(of: /\nExec[A-Za-z]*=devmemtcp (.*)/).map { match in
            String(match.1).replacing("%I", with: "eth1")
                .replacing("$STEER_OPTIONS", with: example)
                .split(separator: " ").map(String.init)
        }
        try #require(commands.count == 2)
        let apply = try #require(try Devmemtcp.parseAsRoot(commands[0]) as? Steer.Apply)
        #expect(apply.steering.interface == "eth1" && apply.name == "training")
        let restore = try #require(try Devmemtcp.parseAsRoot(commands[1]) as? Steer.Restore)
        #expect(restore.target == "eth1")
        let file = try #require(unit.firstMatch(of: /\nEnvironmentFile=(.*)%I\n/)?.1)
        let page = try manual("devmemtcp-steer.8")
        #expect(page.contains("STEER_OPTIONS=\(example)\n"))
        #expect(page.contains("\(file)iface"))
    }

    @Test func manualNamesEveryKeyOfSteering() throws {
        let page = try manual("devmemtcp-steer.8")
        let rule = FlowRule(isIPv6: false, destinationPort: 80, target: .queue(7))
        let specification = [UInt8](repeating: 0, count: 168)
        let snapshot = NICSnapshot(
            driver: "labnic", rings: RingSettings(headerSplit: .off, splitThreshold: 0),
            channels: ChannelCounts(combined: 8),
            receiveQueues: [QueueInfo(id: 0, type: .rx)], xdpProgram: 4,
            contexts: [RSSContext(id: 0, indirection: [0])],
            ntuple: FeatureState(isActive: true, isChangeable: true),
            neededGRO: FeatureState(isActive: false, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [0], capacity: 64, choosesLocation: true),
            rules: [try #require(InstalledRule(specification: specification, context: 0))])
        let shown = SteeringReport(interface: "eth1", settings: snapshot, entry: nil)
        #expect(shown.lines.contains { $0.hasSuffix(", rx-gro-hw: off") })
        let changes: [SteeringChange] = [
            .headerSplit(before: .off, after: .on), .splitThreshold(before: 256, after: 0),
            .feature(.flowRules, wasWanted: false), .feature(.hardwareGRO, wasWanted: false),
            .indirection(before: [0], after: [1], isDefault: true),
            .createContext(table: [7], id: 1),
            .addRule([rule], installed: SteeringChange.PlacedRule(rule: rule, location: 3)),
        ]
        var restored = RestoreReport(interface: "eth1")
        restored.steeredBy = "steer"
        restored.failure = "it broke"
        let reports = [
            try json(
                of: PlanReport(
                    interface: "eth1", name: "x", queues: [7], changes: changes, notes: [],
                    interruptions: SteeringInterruptions(of: changes, driver: "bnxt_en"),
                    ethtool: [])),
            try json(of: RestoreReports(interfaces: [restored])),
            try json(
                of: SteeringReports(interfaces: [shown])),
        ]
        let keys = Set(
            reports.joined().matches(of: /"([a-z_]+)":/).map { String($0.1) })
        #expect(keys.count > 25)
        for key in keys { #expect(page.contains(key), "key \(key)") }
        // Each setting that can change is documented.
        for match in reports[0].matches(of: /"setting":"([a-z-]+)"/) {
            #expect(page.contains(match.1), "setting \(match.1)")
        }
    }

    @Test func manualNamesEveryKeyOfShow() throws {
        let page = try manual("devmemtcp-show.8")
        let reports = try ShowSamples.reports()
        let keys = Set(reports.joined().matches(of: /"([a-z_]+)":/).map { String($0.1) })
        #expect(keys.count > 60)
        for key in keys { #expect(page.contains(key), "key \(key)") }
    }

    @Test func manualNamesEveryMetric() throws {
        let page = try manual("devmemtcp-show.8")
        var host = HostState(interfaces: [ShowSamples.state])
        host.likelyHolders = [ShowSamples.holder]
        let names = prometheusText(of: host, version: "1.2").matches(of: /# TYPE ([a-z_]+) gauge/)
            .map { $0.1 }
        #expect(names.count > 30)
        for name in names { #expect(page.contains("\n.B \(name)\n"), "\(name)") }
        for match in page.matches(of: /devmemtcp_[a-z_]+/) {
            let isKnown = names.contains(match.output) || match.output.hasPrefix("devmemtcp_queue_")
            #expect(isKnown || match.output == "devmemtcp_steering_info", "\(match.output)")
        }
    }

    @Test func manualNamesEveryKeyAndCheckOfDoctor() throws {
        let page = try manual("devmemtcp-doctor.8")
        let host = HostFacts()
        let device = try NetworkDevice.full
        let facts = NICFacts(of: device, on: host)
        var checks = DevmemTools.checks(of: host) + DevmemTools.checks(of: facts) + [.noNIC]
        checks[0].fix = "modprobe udmabuf"
        var report = DoctorReport(host: host, devices: [device], checks: checks)
        report.interfaces[0].memory = [
            DoctorReport.Memory(
                kind: "gpu", name: "0000:41:00.0", driver: "nvidia", node: "/dev/dri/renderD128",
                distance: "same-switch")
        ]
        let keys = Set(try json(of: report).matches(of: /"([a-z_]+)":/).map { String($0.1) })
        #expect(keys.count > 25)
        for key in keys { #expect(page.contains(key), "key \(key)") }
        for check in checks { #expect(page.contains(check.id), "check \(check.id)") }
        for distance in DeviceDistance.allCases { #expect(page.contains(distance.rawValue)) }
        for verdict in DoctorCheck.Verdict.allCases { #expect(page.contains(verdict.rawValue)) }
    }

    @Test(arguments: ["serve", "connect", "bind", "queue", "validate", "bench"])
    func manualNamesEveryKeyOfTheReport(
        command: String
    ) throws {
        let page = try manual("devmemtcp-\(command).8")
        let report = try sampleReport(of: command)
        let keys = report.matches(of: /"([a-z_]+)":/).map { String($0.1) }
        #expect(keys.count > 6)
        for key in keys { #expect(page.contains(key), "key \(key)") }
    }

    @Test func manualOfNcdevmemNamesExactlyItsOptions() throws {
        let page = try manual("ncdevmem.8")
        let letters = GetoptParser(NcdevmemOptions.specification).letters
        let section = page.components(separatedBy: ".SH OPTIONS\n").dropFirst().first ?? ""
        let entries = section.components(separatedBy: "\n.SH ")[0].components(separatedBy: ".TP\n")
        let heads = entries.dropFirst().compactMap { $0.split(separator: "\n").first }
        let described = heads.compactMap { $0.firstMatch(of: /^\.BI? -(\w)( "|$)/)?.1.first }
        #expect(described.count == heads.count)
        #expect(described.count == letters.count && Set(described) == letters)
        for match in page.matches(of: /[^\w-]-([a-zA-Z])\b/) {
            let known = match.1.first.map { letters.contains($0) } ?? false
            // Options of ln(1), nc(1) and head(1) in examples.
            #expect(known || ["N"].contains(match.1), "-\(match.1)")
        }
        #expect(longOptions(in: page).isEmpty)
        // Options with a value have one in the page.
        for letter in letters {
            let takesValue = NcdevmemOptions.specification.contains("\(letter):")
            #expect(page.contains("\n.BI -\(letter) \"") == takesValue, "-\(letter)")
        }
        #expect(try manual("devmemtcp.8").contains(".BR ncdevmem (8)"))
        #expect(try text("README.md").contains("ln -s devmemtcp \(Ncdevmem.name)\n"))
    }

    @Test func manualNamesEveryFamilyAndVerdictOfValidate() throws {
        let page = try manual("devmemtcp-validate.8")
        let families = Set(ValidationCase.all.map(\.family))
        #expect(families.count > 10)
        for family in families { #expect(page.contains(family), "family \(family)") }
        for verdict in [CaseVerdict.pass, .fail(""), .skip("")] {
            #expect(page.contains(verdict.name))
        }
        for variable in ["NETIF", "LOCAL_V4", "LOCAL_V6", "REMOTE_TYPE", "REMOTE_ARGS"] {
            #expect(page.contains(variable))
        }
    }

    @Test func manualNamesEveryVariableOfBind() throws {
        let page = try manual("devmemtcp-bind.8")
        let names = BindReport.full.environment.keys
        #expect(names.count == 6)
        for name in names { #expect(page.contains(".B \(name)\n")) }
    }
}

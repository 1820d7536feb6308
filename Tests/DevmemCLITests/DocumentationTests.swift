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

/// Returns the reports of a command, with all optional parts, as JSON.
private func sampleReport(of command: String) throws -> String {
    switch command {
    case "serve":
        var total = ServeTotal()
        total.add(try ReceiveReport.full, failure: nil)
        total.stoppedBy = 15
        return try json(of: ReceiveReport.full) + json(of: total)
    case "connect": return try json(of: TransmitReport.full)
    case "bench":
        let matrix = try BenchMatrix([
            BenchMatrix.Pair(
                sender: "a", receiver: "b",
                memory: BenchPlan.Direction(sender: .host, receiver: .device), bytesPerSecond: 1,
                time: "now", failure: "it broke")
        ])
        return try json(of: BenchReport.full) + json(of: matrix)
    case "bind": return try json(of: BindReport.full)
    case "validate":
        var report = ValidationReport(
            on: .current, time: timeStamp(), interface: "eth1", driver: "labnic",
            peer: "netns:peer")
        report.stoppedBy = 15
        report.cases = [
            CaseResult(
                family: "bind", name: "good", title: "it works", verdict: .fail("no"), seconds: 1)
        ]
        return try json(of: report) + json(of: CaseList(cases: []))
    default:
        let queue = QueueRestart(
            queue: 3, poolBefore: 1, poolAfter: 2, napiBefore: 5, napiAfter: 5)
        return try json(of: RestartReport(interface: "eth1", queues: [queue]))
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

extension NetworkDevice {
    /// A device with all optional properties.
    fileprivate static var full: NetworkDevice {
        get throws {
            var device = NetworkDevice(try NetworkInterface(named: "lo"))
            device.driver = "mlx5_core"
            device.driverVersion = "7.3.4"
            device.firmwareVersion = "16.35"
            device.bus = "pci"
            device.address = "0000:43:00.0"
            device.path = "/sys/devices/pci0000:40/0000:40:01.0/0000:43:00.0"
            device.numaNode = 0
            device.speed = 100_000
            device.mtu = 9000
            device.isUp = true
            device.hasCarrier = true
            device.macAddress = "02:00:00:00:00:01"
            device.iommuGroup = "12"
            device.iommuType = "DMA-FQ"
            return device
        }
    }
}

extension ReceiveReport {
    /// A report with all optional parts.
    static var full: ReceiveReport {
        get throws {
            let json = """
                {"version":1,"interface":"eth1","driver":"labnic","queues":[7],
                 "dmabuf_bytes":67108864,"engine":"socket","listen":"192.0.2.1:5201","peer":"192.0.2.2:40000",
                 "seconds":2,"cpu_user_seconds":0.5,"cpu_system_seconds":1,
                 "busy_poll_us":50,"cpus":"0-3",
                 "cpus_reason":"near","napi_threaded":true,
                 "connection":1,"answered_bytes":7,"direct_bytes":4096,
                 "counts":{"device_bytes":999,"linear_bytes":1,"ordinary_bytes":0,"fragments":3,
                 "recvmsg_calls":2,"token_calls":1,"token_ranges":1},
                 "validation":{"checked_bytes":1000,"wrong_bytes":2,
                 "first_mismatch":{"offset":5,"expected":6,"found":7}},
                 "placement":{"device_share":0.999,"verdict":"mixed","reason":"a rule"},
                 "stopped_by_signal":15,"failure":"it broke"}
                """
            return try JSONDecoder().decode(ReceiveReport.self, from: Data(json.utf8))
        }
    }
}

extension TransmitReport {
    /// A report with all optional parts.
    fileprivate static var full: TransmitReport {
        get throws {
            let json = """
                {"version":1,"interface":"eth1","driver":"labnic","memory_bytes":67108864,
                 "local":"192.0.2.1:40000","peer":"192.0.2.2:5201","seconds":2,
                 "cpu_user_seconds":0.5,"cpu_system_seconds":1,
                 "counts":{"sent_bytes":1000,"acknowledged_bytes":900,"received_bytes":9,"input_calls":3,
                 "sendmsg_calls":2,"completions":1,"copied_sends":1,"buffer_waits":4},
                 "validation":{"checked_bytes":1000,"wrong_bytes":2,
                 "first_mismatch":{"offset":5,"expected":6,"found":7}},
                 "busy_poll_us":50,"cpus":"0-3",
                 "cpus_reason":"near","napi_threaded":true,
                 "peer_closed":false,"stopped_by_signal":15,"failure":"it broke"}
                """
            return try JSONDecoder().decode(TransmitReport.self, from: Data(json.utf8))
        }
    }
}

extension BindReport {
    /// A report with all optional parts.
    fileprivate static var full: BindReport {
        BindReport(
            interface: "eth1", queues: [6, 7], receiveID: 3, transmitID: 4, size: 4096,
            pageSize: 65536, pid: 812, descriptor: 9)
    }
}

@Suite struct SummaryTests {
    @Test func jsonIsReadBackAsItWas() throws {
        let report = try ReceiveReport.full
        let again = try JSONDecoder().decode(
            ReceiveReport.self, from: Data(try json(of: report).utf8))
        #expect(again == report)
        #expect(report.bytesPerSecond == 500)
        #expect(report.deviceShare == 0.999)
    }

    @Test func summaryOfSendingHoldsTheFigures() throws {
        var report = try TransmitReport.full
        let text = summary(of: report)
        #expect(text.contains("1000 bytes in 2.000 s"))
        #expect(text.contains("3 read, 2 sendmsg, 1 completion, 4 waits for buffers"))
        #expect(text.contains("1 send\n"))
        #expect(
            text.contains(
                "on CPUs 0-3 (near); polling the NIC for 50 us before sleeping; NAPI in a thread\n")
        )
        #expect(!text.contains("did not close"))
        report.failure = nil
        report.stoppedBy = nil
        #expect(summary(of: report).contains("did not close in time"))
        #expect(report.bytesPerSecond == 500)
    }

    @Test func summaryOfABindingHoldsTheIDs() {
        #expect(
            BindReport.full.line
                == "eth1: dma-buf of 4096 bytes, rx id 3 on queues 6-7, tx id 4")
    }

    @Test func summaryForPeopleHoldsTheFigures() throws {
        let text = summary(of: try ReceiveReport.full)
        #expect(text.contains("eth1, queues 7, driver labnic"))
        #expect(text.contains("1000 bytes in 2.000 s"))
        #expect(text.contains("999 bytes (99.900 %), 3 fragments"))
        #expect(text.contains("2 of 1000 bytes wrong, the first at offset 5: found 7, expected 6"))
        #expect(text.hasSuffix("\n"))
    }
}

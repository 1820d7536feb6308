import ArgumentParser
import DevmemCore
import DevmemTools
import FoundationEssentials
import Glibc
import Logging

struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Test device memory TCP on a NIC, its driver and the kernel.",
        discussion: """
            Makes requests that must be refused, receives and sends payload that must arrive, \
            disturbs neighbouring queues, and restores every setting of the NIC. The result is TAP, as \
            the kernel's own tests print it; the exit status is 0 if nothing failed, 1 if something \
            did, and 4 if everything was skipped. Disturbs the NIC for up to a minute.
            """)

    @Argument(
        help: ArgumentHelp(
            "The NIC. Default: NETIF from the environment or net.config.", valueName: "iface"),
        completion: .nic)
    var interface: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Start this program as the peer: netns:NAME or ssh:HOST.", valueName: "place"))
    var remote: RemoteArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Use an echo server as the peer: ADDR or ADDR:PORT.",
            valueName: "addr[:port]"))
    var peer: PeerArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "File with the settings of the kernel's tests. Default: ./net.config, if it exists.",
            valueName: "file"), completion: .file())
    var config: String?

    @Flag(name: .long, help: "List the cases without running them.")
    var list = false

    @Option(
        name: .long, parsing: .upToNextOption,
        help: ArgumentHelp(
            "Run only cases whose name or family matches one of these.",
            valueName: "glob"))
    var filter: [String] = []

    @OptionGroup var memory: ProviderOption
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if memory.provider.isOneOfItsSize {
            throw ValidationError(
                "--provider \(memory.provider) is only one dma-buf; the cases need several.")
        }
        if remote != nil && peer != nil {
            throw ValidationError("--remote and --peer cannot be combined.")
        }
    }

    func run() throws {
        let cases = ValidationCase.matching(filter.map(NamePattern.init))
        guard !cases.isEmpty else { throw ValidationError("No case matches --filter.") }
        try reporting(common) {
            if list { return try show(cases) }
            let request = try request(cases)
            let stop = try StopSignal.ofUser()
            var writer = TAPWriter(planned: cases.count)
            var hasStarted = false
            // A failed write must not stop the run: the last case checks that the NIC is restored.
            var output = DeferredErrorStream()
            let report = try DevmemTools.validate(
                request, stop: stop,
                finished: { result in
                    guard !common.json else { return }
                    if !hasStarted { output.write(writer.heading) }
                    hasStarted = true
                    output.write(writer.lines(for: result))
                }, logger: common.logger)
            if !common.json && !hasStarted { output.write(writer.heading) }
            output.write(common.json ? try json(of: report) : writer.totals)
            if let signal = report.stoppedBy { throw ExitCode(128 + signal) }
            try output.check()
            if report.exitStatus != 0 { throw ExitCode(report.exitStatus) }
        }
    }

    private func request(_ cases: [ValidationCase]) throws -> ValidationRequest {
        let settings = try HarnessSettings(
            environment: ProcessInfo.processInfo.environment, path: config ?? "net.config",
            isOptional: config == nil)
        guard let name = interface ?? settings.interface else {
            throw ValidationError("Give a NIC, or set NETIF.")
        }
        return ValidationRequest(
            interface: name, peer: try choosePeer(settings),
            local: [settings.local4, settings.local6].compactMap { $0 },
            remote: [settings.remote4, settings.remote6].compactMap { $0 }, cases: cases,
            provider: memory.provider)
    }

    private func choosePeer(_ settings: HarnessSettings) throws(DevmemError) -> PeerChoice? {
        if let peer { return .echo(try peer.resolved()) }
        return (remote?.place ?? settings.place).map(PeerChoice.place)
    }

    private func show(_ cases: [ValidationCase]) throws {
        if common.json {
            try printJSON(CaseList(cases: cases.map(CaseEntry.init)))
        } else {
            try writeOutput(cases.map { "\($0.id)\t\($0.title)\n" }.joined())
        }
    }
}

/// The output of `--list --json`.
struct CaseList: Encodable {
    let version = 1
    var cases: [CaseEntry]
}

/// A case in the list.
struct CaseEntry: Encodable {
    var family: String
    var name: String
    var title: String

    init(_ one: ValidationCase) {
        family = one.family
        name = one.name
        title = one.title
    }
}

/// Runs the peer of `validate` or `bench`. Those commands start it themselves.
struct RemoteSubcommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "far-end", abstract: "Run as the peer of a test.", shouldDisplay: false)

    @Option var netns: String?
    @Flag var removeSelf = false
    @Flag var bench = false

    func run() throws {
        do throws(DevmemError) {
            if bench {
                let logger = Logger(label: "devmemtcp: peer") {
                    ErrorLogHandler(name: $0, logLevel: .notice)
                }
                return try runBenchRemoteSide(
                    input: STDIN_FILENO, output: STDOUT_FILENO, namespace: netns,
                    removesItself: removeSelf, logger: logger)
            }
            try runRemoteSide(
                input: STDIN_FILENO, output: STDOUT_FILENO, namespace: netns,
                removesItself: removeSelf)
        } catch {
            writeError("devmemtcp: peer: \(error)\n")
            throw ExitCode.failure
        }
    }
}

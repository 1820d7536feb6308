import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc
import Logging

struct BenchRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a benchmark and report it.",
        discussion: """
            Without further options the peer sends plain TCP for 10 seconds, and this host receives \
            it into device memory. --tx, --rx and --duplex choose the direction of payload and the \
            memory of this host, --peer-rx and --peer-tx the memory of the peer. The peer opens all \
            connections, so this host must be reachable; --port chooses the port.
            """)

    @Argument(
        help: ArgumentHelp(
            "The peer, which runs devmemtcp bench serve: HOST, HOST:PORT or [IPV6]:PORT.",
            valueName: "host[:port]"))
    var host: PeerArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Start the peer: netns:NAME or ssh:HOST. Needs --interface.", valueName: "place"))
    var remote: RemoteArgument?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The NIC. Default: the one on the route to the peer.", valueName: "iface"),
        completion: .nic)
    var interface: String?

    @OptionGroup var load: BenchLoadOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Receive queues for device memory: 6-7, 1,3, 'last 2', or auto for a free one.",
            valueName: "list"))
    var queues = QueueSelection(.automatic(1))

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            The local port of all connections, for firewalls; with several queues the first of \
            consecutive ports, one for each queue. Default: chosen by the kernel.
            """, valueName: "port"))
    var port: UInt16?

    @OptionGroup var placement: ProcessorsOption

    @Flag(
        name: .long,
        help: "Succeed even if no payload arrives in device memory.")
    var allowHostMemory = false

    @Flag(name: .long, help: "Show a line for each second on standard error.")
    var interval = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write the figures of each interval as CSV; - is standard output.", valueName: "file"),
        completion: .file())
    var csv: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Draw the figures over time as SVG; - is standard output.", valueName: "file"),
        completion: .file())
    var plot: String?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (host == nil) != (remote == nil) else {
            throw ValidationError("Give a peer, or start one with --remote.")
        }
        if remote != nil && interface == nil {
            throw ValidationError("--remote needs --interface.")
        }
        guard port != 0 else { throw ValidationError("--port takes a number from 1 to 65535.") }
    }

    func run() throws {
        try reporting(common) {
            let remoteSide: BenchRequest.RemoteSide
            if let remote {
                remoteSide = .place(remote.place)
            } else {
                let text = try host?.text ?? EndpointText("")
                remoteSide = .serving(try Endpoint.candidates(resolving: text))
            }
            let request = BenchRequest(
                remoteSide: remoteSide, interface: interface, plan: load.plan,
                queues: queues.choice,
                provider: load.maker.provider, port: port, processors: placement.cpus.choice,
                allowsHostMemory: allowHostMemory)
            raiseDescriptorLimit()
            let logger = common.logger
            let warmUp = load.warmUp
            let warmUpNotice = warmUp > 0 ? ", after \(fixed(warmUp, 1)) s of warm-up" : ""
            let progress = BenchProgress(
                load.plan, showsLines: interval, quiet: common.quiet)
            defer { progress.finish() }
            let report = try DevmemTools.runBench(
                request, stop: try StopSignal.ofUser(),
                started: { logger.notice("\($0) with \($1)\(warmUpNotice)") },
                seen: { progress.update($0) }, logger: logger)
            progress.finish()
            try conclude(report, logger)
        }
    }

    private func conclude(_ report: BenchReport, _ logger: Logger) throws {
        try writeOutput(
            common.json
                ? json(of: report)
                : printable(summary(of: report), keepsLines: true))
        if let csv { try writeFile(csv, benchCSV(of: report), logger) }
        if let plot { try writeFile(plot, benchPlot(of: report), logger) }
        let isCorrupt = report.wrongBytes > 0
        if let failure = report.failure, report.stoppedBy == nil || isCorrupt {
            writeError("devmemtcp: \(failure)\n")
            throw ExitCode.failure
        }
        guard let signal = report.stoppedBy else { return }
        if report.isStoppedByRemote == true {
            writeError("devmemtcp: the peer was ended by signal \(signal)\n")
            throw ExitCode.failure
        }
        throw ExitCode(128 + signal)
    }
}

extension PeerArgument {
    /// The host and port to resolve.
    var text: EndpointText {
        get throws(DevmemError) {
            let host = address.host.contains(":") ? "[\(address.host)]" : address.host
            return try EndpointText("\(host):\(address.port)")
        }
    }
}

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
            Without further options the far end sends plain TCP for 10 seconds, which is received \
            into device memory. --tx, --rx and --duplex say which way payload goes and where it is \
            at this end, --peer-rx and --peer-tx where it is at the other. All connections come to \
            this end, which therefore must be reachable; --port says at which port.
            """)

    @Argument(
        help: ArgumentHelp(
            "Where devmemtcp bench serve runs: HOST, HOST:PORT or [IPV6]:PORT.",
            valueName: "host[:port]"))
    var host: PeerArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Start the far end: netns:NAME or ssh:HOST. Needs --interface.", valueName: "place"))
    var remote: RemoteArgument?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The NIC. Default: the one that leads to the host.", valueName: "iface"))
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
            The port of this end that all connections come to, for firewalls; with several queues \
            one port for each, from this one on. Default: ports of the kernel's choice.
            """, valueName: "port"))
    var port: UInt16?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Run each thread on one of these processors, in turn: 0-3 or 1,3.", valueName: "list"))
    var cpus: ProcessorList?

    @Flag(
        name: .long,
        help: "Succeed even if no payload at all comes in device memory.")
    var allowHostMemory = false

    @Flag(name: .long, help: "Show a line for each second on standard error.")
    var interval = false

    @Option(
        name: .long,
        help: ArgumentHelp("Write the intervals to a file as CSV.", valueName: "file"))
    var csv: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Draw the intervals into a file as SVG.", valueName: "file"))
    var plot: String?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (host == nil) != (remote == nil) else {
            throw ValidationError("Name the far end, or start it with --remote.")
        }
        if remote != nil && interface == nil {
            throw ValidationError("--remote needs --interface.")
        }
        guard port != 0 else { throw ValidationError("--port takes 1 to 65535.") }
    }

    func run() throws {
        try reporting(common) {
            let far: BenchRequest.Far
            if let remote {
                far = .place(remote.place)
            } else {
                let text = try host?.text ?? EndpointText("")
                far = .serving(try Endpoint.candidates(resolving: text))
            }
            let request = BenchRequest(
                far: far, interface: interface, plan: load.plan, queues: queues.choice,
                provider: load.maker.provider, port: port, processors: cpus?.processors ?? [],
                allowsHostMemory: allowHostMemory)
            raiseDescriptorLimit()
            let logger = common.logger
            let warmUp = load.warmUp
            let warmUpNotice = warmUp > 0 ? ", first \(fixed(warmUp, 1)) s of warm-up" : ""
            let progress = BenchProgress(
                load.plan, showsLines: interval, quiet: common.quiet)
            defer { progress.finish() }
            let report = try DevmemTools.runBench(
                request, stop: try StopSignal.ofUser(),
                started: { logger.notice("\($0) with \($1)\(warmUpNotice)") },
                seen: { progress.update($0) }, logger: logger)
            progress.finish()
            try conclude(report)
        }
    }

    private func conclude(_ report: BenchReport) throws {
        try writeOutput(
            common.json
                ? json(of: report)
                : printable(summary(of: report), keepsLines: true))
        if let csv { try writeFile(csv, benchCSV(of: report)) }
        if let plot { try writeFile(plot, benchPlot(of: report)) }
        let isCorrupt = report.wrongBytes > 0
        if let failure = report.failure, report.stoppedBy == nil || isCorrupt {
            writeError("devmemtcp: \(failure)\n")
            throw ExitCode.failure
        }
        guard let signal = report.stoppedBy else { return }
        if report.isStoppedByFar == true {
            writeError("devmemtcp: the far end was ended by signal \(signal)\n")
            throw ExitCode.failure
        }
        throw ExitCode(128 + signal)
    }
}

extension PeerArgument {
    /// Host and port as they are looked up.
    var text: EndpointText {
        get throws(DevmemError) {
            let host = address.host.contains(":") ? "[\(address.host)]" : address.host
            return try EndpointText("\(host):\(address.port)")
        }
    }
}

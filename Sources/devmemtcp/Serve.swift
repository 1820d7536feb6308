import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc
import Logging
import SystemPackage

struct Serve: ParsableCommand, PayloadCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        _superCommandName: "devmemtcp",
        abstract: "Receive TCP connections into device memory.",
        discussion: """
            Steers a connection to receive queues of a NIC, receives it into a dma-buf bound to \
            these queues, and restores every setting of the NIC. Payload goes to \
            standard output unless --output, --validate or --discard is given. The summary \
            goes to standard output, or to standard error if payload goes to standard output.
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The NIC. Default: the one that has the address to listen on.", valueName: "iface"),
        completion: .nic)
    var interface: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Address to listen on: HOST:PORT, [IPV6]:PORT or :PORT.", valueName: "addr:port"))
    var listen: EndpointArgument

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            The only peer that may connect: ADDR, or ADDR:PORT for NICs whose flow rules must match \
            both addresses and both ports.
            """, valueName: "addr[:port]"))
    var from: SourceArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Receive queues for device memory: 6-7, 1,3, 'last 2', or auto for a free one.",
            valueName: "list"))
    var queues = QueueSelection(.automatic(1))

    @OptionGroup var buffer: MemoryOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            """
            Write payload to a file; - is standard output. With several connections, %n stands for the \
            connection's number, %a for the peer's address, %p for its port.
            """, valueName: "file"), completion: .file())
    var output: String?

    @Flag(name: .long, help: "Write the file with O_DIRECT if possible.")
    var direct = false

    @Option(
        name: .customLong("validate"),
        help: ArgumentHelp(
            """
            Compare payload with a repeating pattern: N for the bytes 1 to N-1 and a newline, or \
            hex:DIGITS.
            """, valueName: "pattern"))
    var expected: PatternArgument?

    @Flag(name: .long, help: "Discard payload without reading it.")
    var discard = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Answer from device memory: echo, or file:NAME.",
            valueName: "answer"))
    var duplex: AnswerArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Number of simultaneous connections.", valueName: "n"))
    var connections = 1

    @Flag(name: .long, help: "Accept further connections until a signal arrives.")
    var keepOpen = false

    @Flag(
        name: .long,
        help: "Succeed even if no payload arrives in device memory.")
    var allowHostMemory = false

    @Flag(name: .long, help: "Restore steering that the NIC loses while memory is bound.")
    var keepSteered = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            How connections share several queues: round-robin by address, one-to-one, or rss for one \
            RSS context over all of them.
            """, valueName: "way"))
    var spread = FlowSpread.roundRobin

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Size of the buffers that the NIC fills, or auto for the largest that it takes. More than \
            a page needs huge pages.
            """, valueName: "size"))
    var rxPageSize: PageSizeChoice?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How to receive: by the socket, by io_uring, or auto.", valueName: "engine"))
    var engine = ReceiveEngineChoice.socket

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Close a connection if nothing arrives for this long.", valueName: "seconds"))
    var idle: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "End everything after this time, as SIGALRM would.", valueName: "seconds"))
    var timeLimit: Double?

    @OptionGroup var threads: ThreadOptions
    @OptionGroup var silence: PeerTimeoutOption
    @OptionGroup var common: CommonOptions

    /// Whether more than one connection is possible.
    private var isMany: Bool { keepOpen || connections > 1 }

    func validate() throws {
        try validateDestination()
        if direct && output ?? "-" == "-" {
            throw ValidationError("--direct requires --output with a file name.")
        }
        guard (1...1000).contains(connections) else {
            throw ValidationError("--connections takes a number from 1 to 1000.")
        }
        for limit in [idle, timeLimit] {
            if let limit, !(0.001...1e6).contains(limit) {
                throw ValidationError("--idle and --time-limit take seconds from 0.001 to 1000000.")
            }
        }
        guard isMany, let outputPath else { return }
        if outputPath == "-" {
            if connections > 1 {
                throw ValidationError("Simultaneous connections need --output with %n.")
            }
        } else if !OutputName(outputPath).isTemplate {
            throw ValidationError("Several connections need %n, %a or %p in --output.")
        }
    }

    func run() throws {
        try reporting(common, on: reportStream) {
            if isMany { return try serveMany() }
            let report = try serve()
            try conclude(report, summary: summary(of: report))
        }
    }

    private func serve() throws(DevmemError) -> ReceiveReport {
        // Resolving names and opening a FIFO can block for long. Ctrl-C must still end the program,
        // so `StopSignal` catches signals only afterwards.
        let request = try request()
        let sink = try makeSink(direct: direct)
        let stop = try prepareToStop()
        let logger = common.logger
        let progress = Progress(quiet: common.quiet, limit: timeLimit)
        defer { progress.finish() }
        let observer = ReceiveObserver(
            listening: { logger.notice("listening on \($0), \($1)") },
            connected: { logger.notice("connection from \($1)") },
            prepared: { () throws(DevmemError) in
                try dropPrivileges(keeping: .undoing, logger: logger)
            },
            progress: progress.isShown
                ? { bytes, now in if now > 0 { progress.update(bytes) } } : nil)
        return try receive(
            request, into: sink, until: stop, observer: observer, logger: logger)
    }

    private func request() throws(DevmemError) -> ReceiveRequest {
        ReceiveRequest(
            interface: interface,
            limits: ReceiveLimits(atOnce: connections, continuesListening: keepOpen),
            listen: try Endpoint.candidates(resolving: listen.text),
            from: try from?.resolved() ?? [], fromPort: from?.port, queues: queues.choice,
            spread: spread, keepsSteered: keepSteered, engine: engine,
            memory: buffer.memory.bytes,
            provider: buffer.maker.provider(direct: direct),
            pageSize: rxPageSize ?? .onePage,
            answer: duplex?.answer ?? .nothing, idleLimit: idle,
            peerTimeout: silence.peerTimeout.timeout,
            busyPoll: threads.polling.busyPoll?.microseconds,
            processors: threads.placement.cpus.choice,
            allowsHostMemory: allowHostMemory, command: "devmemtcp serve")
    }

    private func prepareToStop() throws(DevmemError) -> StopSignal {
        // The time limit must work even if SIGALRM was ignored when the program started.
        if timeLimit != nil { signal(SIGALRM, SIG_DFL) }
        let stop = try StopSignal.ofUser()
        if let timeLimit { startTimer(seconds: timeLimit) }
        return stop
    }

    private func serveMany() throws {
        let request = try request()
        raiseDescriptorLimit()
        let stop = try prepareToStop()
        let logger = common.logger
        var total = ServeTotal()
        var hasBegun = false
        let isQuiet = common.quiet
        let asJSON = common.json
        let progress = Progress(quiet: isQuiet, limit: timeLimit)
        defer { progress.finish() }
        // A report that cannot be written must not end healthy connections.
        var reports = DeferredErrorStream(reportStream)
        let observer = ReceiveObserver(
            listening: {
                hasBegun = true
                logger.notice("listening on \($0), \($1)")
            },
            connected: {
                progress.finish()
                logger.notice("connection \($0) from \($1)")
            },
            prepared: { () throws(DevmemError) in
                try dropPrivileges(keeping: .undoing, logger: logger)
            },
            finished: { report in
                progress.finish()
                total.add(report, failure: failure(in: report))
                if asJSON, let line = try? json(of: report) {
                    reports.write(line)
                } else if !isQuiet {
                    reports.write(line(of: report, failure: failure(in: report)))
                }
            }, progress: progress.isShown ? { progress.update($0, connections: $1) } : nil)
        let names = outputPath.map { OutputNames($0) }
        let comparison = comparison
        let direct = direct
        var refusal: DevmemError?
        do throws(DevmemError) {
            total.stoppedBy = try receive(
                request,
                makeSink: { number, peer, ending throws(DevmemError) -> CommandSink in
                    guard let names else { return CommandSink(comparison, nil) }
                    let path = names.take(number: number, peer: peer)
                    if path != names.pattern.path(number: number, peer: peer) {
                        logger.notice(
                            """
                            connection \(number): an earlier one has used that file name, writing to \
                            \(path)
                            """)
                    }
                    return CommandSink(
                        comparison,
                        try openFile(path, direct: direct, until: ending, logger))
                }, until: stop, observer: observer, logger: logger)
        } catch {
            refusal = error
        }
        // Connections that ended before the NIC disappeared count too.
        if asJSON && hasBegun { reports.write(try json(of: total)) }
        if let refusal { throw refusal }
        let problem = total.problem(allowsHostMemory: allowHostMemory)
        if let problem { writeError("devmemtcp: \(problem)\n") }
        if let signal = total.stoppedBy { throw ExitCode(128 + signal) }
        try reports.check()
        if problem != nil { throw ExitCode.failure }
    }
}

import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc
import Logging
import SystemPackage

struct Connect: ParsableCommand, PayloadCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        _superCommandName: "devmemtcp",
        abstract: "Send a stream from device memory.",
        discussion: """
            Binds a dma-buf to a NIC for sending, connects, reads input into the dma-buf and sends \
            it from there; this changes no setting of the NIC. What the peer sends goes to standard \
            output. At end of input it closes its direction, and waits for the peer to close its own.
            """)

    @Argument(
        help: ArgumentHelp("The peer: HOST:PORT or [IPV6]:PORT.", valueName: "addr:port")
    )
    var peer: EndpointArgument

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The NIC. Default: the one on the route to the peer.",
            valueName: "iface"), completion: .nic)
    var interface: String?

    @Option(
        name: .long,
        help: ArgumentHelp("The local address: ADDR or ADDR:PORT.", valueName: "addr[:port]")
    )
    var bind: LocalAddressArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Send a file; - is standard input, the default.", valueName: "file"),
        completion: .file())
    var input: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Send a repeating pattern: N for the bytes 1 to N-1 and a newline, or hex:DIGITS.
            """, valueName: "pattern"))
    var pattern: PatternArgument?

    @Option(
        name: .long, help: ArgumentHelp("How much of the pattern to send.", valueName: "size"))
    var bytes: ByteSize?

    @Option(name: .long, help: ArgumentHelp("Size of the dma-buf.", valueName: "size"))
    var memory = ByteSize(bytes: 16 << 20)

    @OptionGroup var maker: ProviderOption

    @Option(
        name: .long,
        help: ArgumentHelp("The most bytes per send call.", valueName: "size"))
    var chunk = ByteSize(bytes: 1 << 20)

    @Flag(name: .long, help: "Read the file with O_DIRECT if possible.")
    var direct = false

    @Flag(name: .long, help: "Send from ordinary memory, as any program does.")
    var hostMemory = false

    @Flag(name: .long, help: "Send through the NIC regardless of routes.")
    var pin = false

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Write what the peer sends to a file; - is standard output, the default.",
            valueName: "file"), completion: .file())
    var output: String?

    @Option(
        name: .customLong("validate"),
        help: ArgumentHelp(
            "Compare what the peer sends with a repeating pattern.", valueName: "pattern"))
    var expected: PatternArgument?

    @Flag(name: .long, help: "Discard what the peer sends.")
    var discard = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            How long to wait for the peer to close once everything is acknowledged. Default: no \
            limit.
            """, valueName: "seconds"))
    var wait: Double?

    @OptionGroup var threads: ThreadOptions
    @OptionGroup var silence: PeerTimeoutOption
    @OptionGroup var common: CommonOptions

    func validate() throws {
        try validateDestination()
        if (pattern == nil) != (bytes == nil) {
            throw ValidationError("--pattern and --bytes require each other.")
        }
        if pattern != nil && input != nil {
            throw ValidationError("--pattern and --input cannot be combined.")
        }
        if direct && input == nil { throw ValidationError("--direct requires --input.") }
        if chunk.bytes == 0 { throw ValidationError("--chunk must not be zero.") }
        if let wait, !(0...1e6).contains(wait) {
            throw ValidationError("--wait takes seconds from 0 to 1000000.")
        }
        if peer.text.host.isEmpty { throw ValidationError("Give a host to connect to.") }
    }

    func run() throws {
        try reporting(common, on: reportStream) {
            let report = try transmit()
            try conclude(report, summary: summary(of: report))
        }
    }

    private func transmit() throws(DevmemError) -> TransmitReport {
        // Resolving names and opening a FIFO can block for long. Ctrl-C must still end the program,
        // so `StopSignal` catches signals only afterwards.
        let peers = try Endpoint.candidates(resolving: peer.text)
        let request = TransmitRequest(
            interface: interface, peers: peers, local: try bind?.candidates() ?? [],
            memory: memory.bytes, provider: maker.provider(direct: direct), chunk: chunk.bytes,
            usesHostMemory: hostMemory, isPinned: pin,
            wait: wait, peerTimeout: silence.peerTimeout.timeout,
            busyPoll: threads.polling.busyPoll?.microseconds,
            processors: threads.placement.cpus.choice)
        if let pattern, let bytes {
            return try transmit(
                request, PatternSource(pattern.pattern, bytes: bytes.bytes), total: bytes.bytes)
        }
        let source = try InputStream(input ?? "-", direct: direct)
        if direct && !source.isDirect {
            common.logger.notice(
                "\(input ?? "-"): O_DIRECT is not possible, reading through the page cache")
        }
        let total = source.remaining
        return try transmit(request, source, total: total)
    }

    private func transmit<Source: PayloadSource & ~Copyable>(
        _ request: TransmitRequest, _ source: consuming Source, total: UInt64?
    ) throws(DevmemError) -> TransmitReport {
        var sink = try makeSink()
        let stop = try StopSignal.ofUser()
        let logger = common.logger
        let progress = Progress(quiet: common.quiet, total: total)
        defer { progress.finish() }
        let observer = TransmitObserver(
            connected: { local, name in
                let through = name.map { ", \($0)" } ?? ""
                logger.notice("connected from \(local)\(through)")
            },
            // A binding for sending goes away with its socket: there is nothing to undo.
            prepared: { () throws(DevmemError) in
                try dropPrivileges(keeping: [], logger: logger)
            }, progress: { progress.update($0) })
        return try send(
            request, from: source, into: &sink, until: stop, observer: observer,
            logger: common.logger)
    }
}

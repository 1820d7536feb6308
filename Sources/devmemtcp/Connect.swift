import ArgumentParser
import DevmemCore
import Glibc
import Logging
import SystemPackage

struct Connect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a stream from device memory.",
        discussion: """
            Binds a dma-buf to a NIC for sending, which changes no setting of it, connects, reads \
            input into the dma-buf and sends it from there. What the peer sends goes to standard \
            output. At the end of the input the stream is ended, and the peer's end is waited for.
            """)

    @Argument(
        help: ArgumentHelp("Where to connect to: HOST:PORT or [IPV6]:PORT.", valueName: "addr:port")
    )
    var peer: EndpointArgument

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The NIC. Default: the one that the route to the peer leads through.",
            valueName: "iface"))
    var interface: String?

    @Option(
        name: .long,
        help: ArgumentHelp("The address to come from: ADDR or ADDR:PORT.", valueName: "addr[:port]")
    )
    var bind: LocalAddressArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Send a file; - is standard input, the default.", valueName: "file"))
    var input: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Send a repeating pattern: N for the bytes 1 to N-1 and a newline, or hex: and digits.
            """, valueName: "pattern"))
    var pattern: PatternArgument?

    @Option(
        name: .long, help: ArgumentHelp("How much of the pattern to send.", valueName: "size"))
    var bytes: ByteSize?

    @Option(name: .long, help: ArgumentHelp("Size of the dma-buf.", valueName: "size"))
    var memory = ByteSize(bytes: 64 << 20)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What makes the dma-buf: udmabuf, or heap:NAME for a dma-heap.", valueName: "provider"))
    var provider = MemoryProvider.udmabuf

    @Option(
        name: .long,
        help: ArgumentHelp("The most that one send call takes.", valueName: "size"))
    var chunk = ByteSize(bytes: 1 << 20)

    @Flag(name: .long, help: "Read the file past the page cache (O_DIRECT) where that can be.")
    var direct = false

    @Flag(name: .long, help: "Send ordinary memory, as any program does.")
    var hostMemory = false

    @Flag(name: .long, help: "Send through the NIC, whatever the routes say.")
    var pin = false

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Write what the peer sends to a file; - is standard output, the default.",
            valueName: "file"))
    var output: String?

    @Option(
        name: .customLong("validate"),
        help: ArgumentHelp(
            "Compare what the peer sends with a repeating pattern.", valueName: "pattern"))
    var expected: PatternArgument?

    @Flag(name: .long, help: "Do not look at what the peer sends.")
    var discard = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            How long to wait, once all is acknowledged, for the peer to close. Default: as long as \
            it takes.
            """, valueName: "seconds"))
    var wait: Double?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if (pattern == nil) != (bytes == nil) {
            throw ValidationError("--pattern and --bytes go together.")
        }
        if pattern != nil && input != nil {
            throw ValidationError("--pattern goes without --input.")
        }
        if direct && input == nil { throw ValidationError("--direct goes with --input.") }
        if discard && (output != nil || expected != nil) {
            throw ValidationError("--discard goes with neither --output nor --validate.")
        }
        if chunk.bytes == 0 { throw ValidationError("--chunk must not be zero.") }
        if let wait, !(0...1e6).contains(wait) {
            throw ValidationError("--wait takes seconds from 0 to 1000000.")
        }
        if peer.text.host.isEmpty { throw ValidationError("Name a host to connect to.") }
    }

    func run() throws {
        try reporting {
            let report = try transmit()
            try show(report)
            if let signal = report.stoppedBy { throw ExitCode(128 + signal) }
            if let failure = failure(in: report) {
                writeError("devmemtcp: \(failure)\n")
                throw ExitCode.failure
            }
        }
    }

    private func transmit() throws(DevmemError) -> TransmitReport {
        // These can wait long, for a name server or a pipe's other end, and Ctrl-C must still end
        // them.
        let peers = try Endpoint.candidates(resolving: peer.text)
        let request = TransmitRequest(
            interface: interface, peers: peers, local: try bind?.resolved(),
            memory: memory.bytes, provider: provider, chunk: chunk.bytes,
            usesHostMemory: hostMemory, isPinned: pin,
            wait: wait)
        let source = try openSource()
        var consumer = PayloadConsumer(output: try openOutput(), pattern: expected?.pattern)
        // A reader that goes away is an error to report.
        signal(SIGPIPE, SIG_IGN)
        let stop = try StopSignal.ofUser()
        let logger = common.logger
        if direct && !source.isDirect {
            logger.notice("\(input ?? "-") cannot be read past the page cache")
        }
        let progress = Progress(quiet: common.quiet)
        defer { progress.finish() }
        return try send(
            request, source: source, consumer: &consumer, stop: stop,
            connected: { local, name in
                let through = name.map { ", \($0)" } ?? ""
                logger.notice("connected from \(local)\(through)")
            }, progress: { progress.update($0) }, logger: logger)
    }

    private func openSource() throws(DevmemError) -> PayloadSource {
        if let pattern, let bytes {
            return PayloadSource(pattern: pattern.pattern, bytes: bytes.bytes)
        }
        return try PayloadSource(path: input ?? "-", direct: direct)
    }

    /// The path of the output; nil if what comes is not kept.
    private var outputPath: String? {
        output ?? (discard || expected != nil ? nil : "-")
    }

    private func openOutput() throws(DevmemError) -> OutputStream? {
        guard let outputPath else { return nil }
        return try OutputStream(outputPath)
    }

    private func show(_ report: TransmitReport) throws {
        let text = common.json ? try json(of: report) : summary(of: report)
        if outputPath == "-" {
            if common.json || !common.quiet { writeError(text) }
        } else {
            print(text, terminator: "")
        }
    }

    /// What makes a finished session a failed one.
    private func failure(in report: TransmitReport) -> String? {
        if let failure = report.failure { return failure }
        guard let validation = report.validation else { return nil }
        if validation.checkedBytes == 0 { return "nothing came to validate" }
        return mismatch(in: validation)
    }
}

/// What is wrong with compared payload, in a line; nil if nothing is.
func mismatch(in validation: ReceiveReport.Validation) -> String? {
    guard let first = validation.firstMismatch else { return nil }
    return "payload is wrong from offset \(first.offset): "
        + "found \(first.found), expected \(first.expected)"
}

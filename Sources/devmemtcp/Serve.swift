import ArgumentParser
import DevmemCore
import Glibc
import Logging
import SystemPackage

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Accept a TCP connection into device memory.",
        discussion: """
            Takes receive queues of a NIC for device memory, steers the connection to them, \
            receives it into a dma-buf and puts every setting of the NIC back. Payload goes to \
            standard output unless --output, --validate or --discard says otherwise. The summary \
            goes to standard output, or to standard error where payload goes there.
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The NIC. Default: the one that holds the address listened on.", valueName: "iface"))
    var interface: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Where to listen: HOST:PORT, [IPV6]:PORT or :PORT.", valueName: "addr:port"))
    var listen: EndpointArgument

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The only address that may connect; narrows the flow rule.", valueName: "addr"))
    var from: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Receive queues for device memory: 6-7, 1,3, 'last 2', or auto for a free one.",
            valueName: "list"))
    var queues = QueueSelection(.automatic(1))

    @Option(name: .long, help: ArgumentHelp("Size of the dma-buf.", valueName: "size"))
    var memory = ByteSize(bytes: 64 << 20)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Write payload to a file; - is standard output.", valueName: "file"))
    var output: String?

    @Option(
        name: .customLong("validate"),
        help: ArgumentHelp(
            """
            Compare payload with a repeating pattern: N for the bytes 1 to N-1 and a newline, or \
            hex: and digits.
            """, valueName: "pattern"))
    var pattern: PatternArgument?

    @Flag(name: .long, help: "Do not look at payload at all.")
    var discard = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if discard && (output != nil || pattern != nil) {
            throw ValidationError("--discard goes with neither --output nor --validate.")
        }
    }

    func run() throws {
        try reporting {
            let report = try serve()
            try show(report)
            if let signal = report.stoppedBy { throw ExitCode(128 + signal) }
            if let failure = failure(in: report) {
                writeError("devmemtcp: \(failure)\n")
                throw ExitCode.failure
            }
        }
    }

    private func serve() throws(DevmemError) -> ReceiveReport {
        // These can wait long, for a name server or a pipe's reader, and Ctrl-C must still end them.
        let request = ReceiveRequest(
            interface: interface, listen: try Endpoint(resolving: listen.text),
            from: try resolveFrom(), queues: queues.choice, memory: memory.bytes)
        var consumer = PayloadConsumer(output: try openOutput(), pattern: pattern?.pattern)
        // A reader that goes away is an error to report, not a reason to leave the NIC as it is.
        signal(SIGPIPE, SIG_IGN)
        let stop = try StopSignal.ofUser()
        let logger = common.logger
        let progress = Progress(quiet: common.quiet)
        let observer = ReceiveObserver(
            listening: { logger.notice("listening on \($0), \($1)") },
            connected: { logger.notice("connection from \($0)") },
            progress: { progress.update($0) })
        defer { progress.finish() }
        return try receive(
            request, consumer: &consumer, stop: stop, observer: observer, logger: logger)
    }

    private func resolveFrom() throws(DevmemError) -> IPAddress? {
        guard let from else { return nil }
        return try Endpoint.address(of: from)
    }

    /// The path of the output; nil if payload is not kept.
    private var outputPath: String? {
        output ?? (discard || pattern != nil ? nil : "-")
    }

    private func openOutput() throws(DevmemError) -> OutputStream? {
        guard let outputPath else { return nil }
        return try OutputStream(outputPath)
    }

    private func show(_ report: ReceiveReport) throws {
        let text = common.json ? try json(of: report) : summary(of: report)
        if outputPath == "-" {
            if common.json || !common.quiet { writeError(text) }
        } else {
            print(text, terminator: "")
        }
    }

    /// What makes a finished session a failed one.
    private func failure(in report: ReceiveReport) -> String? {
        if let failure = report.failure { return failure }
        guard let validation = report.validation else { return nil }
        if validation.checkedBytes == 0 { return "nothing came to validate" }
        return mismatch(in: validation)
    }
}

import ArgumentParser
import DevmemCore
import DevmemTools
import Logging

/// The size and provider of the dma-buf.
struct MemoryOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Size of the dma-buf.", valueName: "size"))
    var memory = ByteSize(bytes: 64 << 20)

    @OptionGroup var maker: ProviderOption
}

/// The provider of the dma-buf.
struct ProviderOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Where the dma-buf comes from: udmabuf, udmabuf:2M of huge pages, heap:NAME for a dma-heap, \
            fd:N or unix:PATH for one that another program made, cuda or cuda:GPU for memory of an \
            NVIDIA GPU, rocm or rocm:GPU for that of an AMD GPU, or auto.
            """, valueName: "provider"))
    var provider = MemoryProvider.automatic

    /// Returns the provider to use with or without O_DIRECT. A file system can do direct I/O on
    /// udmabuf memory, which consists of this process's pages, but not on a dma-heap's.
    func provider(direct: Bool) -> MemoryProvider {
        direct && provider == .automatic ? .udmabuf : provider
    }
}

/// The properties that all reports on payload have.
protocol PayloadReport: Encodable {
    var validation: PatternComparison? { get }
    var stoppedBy: Int32? { get }
    var failure: String? { get }
}

extension ReceiveReport: PayloadReport {}
extension TransmitReport: PayloadReport {}

/// A sink that compares payload with a pattern, writes it, does both or neither.
typealias CommandSink = SinkPair<OptionalSink<PatternSink>, OptionalSink<OutputStream>>

extension SinkPair
where First == OptionalSink<PatternSink>, Second == OptionalSink<OutputStream> {
    init(_ comparison: PatternSink?, _ output: consuming OutputStream?) {
        self.init(OptionalSink(comparison), OptionalSink(output))
    }
}

/// A command that receives payload. Payload goes to a file or standard output, unless it is
/// compared with a pattern or discarded.
protocol PayloadCommand {
    var output: String? { get }
    var expected: PatternArgument? { get }
    var discard: Bool { get }
    var common: CommonOptions { get }
}

extension PayloadCommand {
    /// The path of the output; nil if payload is not written.
    var outputPath: String? {
        output ?? (discard || expected != nil ? nil : "-")
    }

    /// The stream for reports: standard output, unless payload goes there.
    var reportStream: ReportStream { outputPath == "-" ? .error : .output }

    func validateDestination() throws {
        if discard && (output != nil || expected != nil) {
            throw ValidationError("--discard cannot be combined with --output or --validate.")
        }
    }

    func makeSink(direct: Bool = false) throws(DevmemError) -> CommandSink {
        let output = try openOutput(direct)
        return CommandSink(comparison, output)
    }

    /// The comparison with the expected pattern, if one is given.
    var comparison: PatternSink? { expected.map { PatternSink($0.pattern, logger: common.logger) } }

    private func openOutput(_ direct: Bool) throws(DevmemError) -> OutputStream? {
        guard let outputPath else { return nil }
        return try openFile(outputPath, direct: direct, common.logger)
    }

    /// Prints a report where it does not mix with payload, and ends with the status that it
    /// implies.
    func conclude(_ report: some PayloadReport, summary: String) throws {
        if reportStream == .output || common.json || !common.quiet {
            try reportStream.write(common.json ? json(of: report) : summary)
        }
        if let signal = report.stoppedBy { throw ExitCode(128 + signal) }
        if let failure = failure(in: report) {
            writeError("devmemtcp: \(failure)\n")
            throw ExitCode.failure
        }
    }
}

/// Returns why a finished connection counts as failed; nil if it succeeded.
func failure(in report: some PayloadReport) -> String? {
    if let failure = report.failure { return failure }
    guard let validation = report.validation else { return nil }
    if validation.checkedBytes == 0 { return "no payload arrived to validate" }
    guard let first = validation.firstMismatch else { return nil }
    return "payload is wrong from offset \(first.offset): "
        + "found \(first.found), expected \(first.expected)"
}

/// Opens an output file, and logs a notice if O_DIRECT was requested but is not possible.
func openFile(
    _ path: String, direct: Bool, _ logger: Logger
) throws(DevmemError) -> OutputStream {
    let stream = try OutputStream(path, direct: direct)
    note(stream, path, direct: direct, logger)
    return stream
}

/// Opens an output file in a thread that blocks signals, and gives up when the session ends.
/// Opening a FIFO waits for its reader.
func openFile(
    _ path: String, direct: Bool, until stop: borrowing StopSignal, _ logger: Logger
) throws(DevmemError) -> OutputStream {
    let stream = try OutputStream(path, direct: direct, until: stop) {
        logger.warning("\($0); its connection waits")
    }
    note(stream, path, direct: direct, logger)
    return stream
}

private func note(
    _ stream: borrowing OutputStream, _ path: String, direct: Bool, _ logger: Logger
) {
    if direct && !stream.isDirect {
        logger.notice("\(path): O_DIRECT is not possible, writing through the page cache")
    }
}

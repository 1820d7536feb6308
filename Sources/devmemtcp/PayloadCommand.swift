import ArgumentParser
import DevmemCore
import DevmemTools
import Logging

/// The memory that payload lies in.
struct MemoryOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Size of the dma-buf.", valueName: "size"))
    var memory = ByteSize(bytes: 64 << 20)

    @OptionGroup var maker: ProviderOption
}

/// What makes the memory that payload lies in.
struct ProviderOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where the dma-buf comes from: udmabuf, heap:NAME for a dma-heap, or auto.",
            valueName: "provider"))
    var provider = MemoryProvider.automatic

    /// The provider for files that are read or written past the page cache, if they are: a file
    /// system can use udmabuf's memory for that, as it is this process's, and no heap's.
    func provider(direct: Bool) -> MemoryProvider {
        direct && provider == .automatic ? .udmabuf : provider
    }
}

/// What reports of payload have in common.
protocol PayloadReport: Encodable {
    var validation: PatternComparison? { get }
    var stoppedBy: Int32? { get }
    var failure: String? { get }
}

extension ReceiveReport: PayloadReport {}
extension TransmitReport: PayloadReport {}

/// Payload is compared with a pattern, written, both or neither.
typealias CommandSink = SinkPair<OptionalSink<PatternSink>, OptionalSink<OutputStream>>

extension SinkPair
where First == OptionalSink<PatternSink>, Second == OptionalSink<OutputStream> {
    init(_ comparison: PatternSink?, _ output: consuming OutputStream?) {
        self.init(OptionalSink(comparison), OptionalSink(output))
    }
}

/// A command that payload comes to: to a file or standard output unless it is compared with a
/// pattern or discarded.
protocol PayloadCommand {
    var output: String? { get }
    var expected: PatternArgument? { get }
    var discard: Bool { get }
    var common: CommonOptions { get }
}

extension PayloadCommand {
    /// The path of the output; nil if payload is not kept.
    var outputPath: String? {
        output ?? (discard || expected != nil ? nil : "-")
    }

    /// Where reports go: to standard output, unless payload goes there.
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

    /// Compares payload, if that is asked for.
    var comparison: PatternSink? { expected.map { PatternSink($0.pattern) } }

    private func openOutput(_ direct: Bool) throws(DevmemError) -> OutputStream? {
        guard let outputPath else { return nil }
        return try openFile(outputPath, direct: direct, common.logger)
    }

    /// Shows a report where payload is not, and ends the command as the report has it.
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

/// What makes a finished connection a failed one.
func failure(in report: some PayloadReport) -> String? {
    if let failure = report.failure { return failure }
    guard let validation = report.validation else { return nil }
    if validation.checkedBytes == 0 { return "no payload arrived to validate" }
    guard let first = validation.firstMismatch else { return nil }
    return "payload is wrong from offset \(first.offset): "
        + "found \(first.found), expected \(first.expected)"
}

/// Opens an output, and says so where it cannot be written past the page cache as asked.
func openFile(
    _ path: String, direct: Bool, _ logger: Logger
) throws(DevmemError) -> OutputStream {
    let stream = try OutputStream(path, direct: direct)
    note(stream, path, direct: direct, logger)
    return stream
}

/// The same in a thread that signals do not reach, until the session ends.
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

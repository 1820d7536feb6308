import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc

/// Draws goodput between many hosts.
struct BenchMatrixCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix",
        abstract: "Draw goodput between many hosts as SVG.",
        discussion: """
            The files have the output of any number of bench run --json. The picture has a row for \
            each host that sends and a column for each that receives, and marks pairs that were not \
            measured or that failed. Needs no privilege.
            """)

    /// More than the reports of any number of hosts that can be drawn.
    private static let largestFile = 1 << 30
    private static let advice: Advice = "a file has what bench run prints with --json"

    @Argument(
        help: ArgumentHelp(
            "Results of benchmarks, a line each; - is standard input.", valueName: "file"),
        completion: .file())
    var files: [String]

    @OptionGroup var common: CommonOptions

    func run() throws {
        try reporting(common) {
            var pairs: [BenchMatrix.Pair] = []
            var errors = 0
            do throws(DevmemError) {
                for file in files {
                    let results = try benchResults(in: try read(file), name: file)
                    pairs += results.pairs
                    errors += results.errors
                }
            } catch {
                throw error.kind == .malformed ? error.advising(Self.advice) : error
            }
            if errors > 0 && !common.quiet {
                writeError(
                    "devmemtcp: \(counted(errors, "benchmark")) did not begin, which is not shown\n"
                )
            }
            let matrix = try BenchMatrix(pairs)
            guard !matrix.pairs.isEmpty else {
                throw DevmemError(
                    .invalid, call: "draw a matrix", message: "the files have no measurement",
                    advice: Self.advice)
            }
            if common.json {
                try printJSON(matrix)
            } else {
                try writeOutput(benchMatrixPlot(of: matrix))
            }
        }
    }

    private func read(_ file: String) throws(DevmemError) -> [UInt8] {
        let descriptor =
            file == "-"
            ? Descriptor(owning: try retrying("read standard input") { dup(STDIN_FILENO) })
            : try Descriptor.open(file, O_RDONLY)
        let bytes = try contents(
            of: descriptor, limit: Self.largestFile, call: "read \(file)")
        guard bytes.count < Self.largestFile else {
            throw DevmemError(
                .invalid, call: "read \(file)", message: "it has more than 1 GiB",
                advice: "leave out what is not needed")
        }
        return bytes
    }
}

import DevmemCore
import DevmemTools
import Glibc

/// An estimate of the time that a benchmark has left. Pure.
struct TimeLeftEstimator {
    private let plan: BenchPlan
    private var inbound: UInt64 = 0
    private var outbound: UInt64 = 0

    init(_ plan: BenchPlan) {
        self.plan = plan
    }

    /// Returns the seconds left after an interval; nil if they cannot be estimated yet.
    mutating func left(after sample: BenchSample) -> Double? {
        inbound = inbound.saturatingAdding(sample.received.saturatingSum)
        outbound = outbound.saturatingAdding(sample.sent.saturatingSum)
        if let seconds = plan.seconds { return max(0, seconds - sample.time) }
        guard let bytes = plan.bytes, sample.time > 0 else { return nil }
        // The slower direction decides.
        let ways = [(inbound, plan.inbound), (outbound, plan.outbound)].filter { $0.1 != nil }
        guard let slowest = ways.map(\.0).min(), slowest > 0 else { return nil }
        let rest = Double(bytes - min(bytes, slowest))
        return rest / (Double(slowest) / sample.time)
    }
}

/// Shows the progress of a benchmark: one line per interval if the user asks for that, otherwise a
/// single line on a terminal that is overwritten.
final class BenchProgress {
    private enum Form {
        case nothing, lines, oneLine
    }

    private let form: Form
    private let live: LiveLine
    private var remainder: TimeLeftEstimator

    /// - Parameters:
    ///   - plan: the benchmark.
    ///   - showsLines: whether to print a line for each interval.
    ///   - quiet: whether to show nothing.
    ///   - isTerminal: whether standard error is a terminal.
    ///   - live: the line that is overwritten.
    init(
        _ plan: BenchPlan, showsLines: Bool, quiet: Bool,
        isTerminal: Bool = isatty(STDERR_FILENO) == 1, live: LiveLine = .standard
    ) {
        form = quiet ? .nothing : showsLines ? .lines : isTerminal ? .oneLine : .nothing
        self.live = live
        remainder = TimeLeftEstimator(plan)
    }

    func update(_ sample: BenchSample) {
        let line = liveLine(of: sample, left: remainder.left(after: sample))
        switch form {
        case .nothing: break
        case .lines: writeError(line + "\n")
        case .oneLine: live.show(line)
        }
    }

    /// Removes the line, so that other text can be written.
    func finish() { live.interrupt() }
}

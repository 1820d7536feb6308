package import DevmemCore
import FoundationEssentials

/// Goodput between many hosts, from the reports of many benchmarks. The JSON keys are stable;
/// `version` increases with an incompatible change.
package struct BenchMatrix: Encodable, Equatable, Sendable {
    /// One host that sends to another.
    package struct Pair: Encodable, Equatable, Sendable {
        /// The name of the host that sends.
        package var sender: String
        /// The name of the host that receives.
        package var receiver: String
        /// The memory that payload was sent from and received into.
        package var memory: BenchPlan.Direction
        /// Payload bytes per second.
        package var bytesPerSecond: Double
        /// When the benchmark began; nil if its report does not say.
        package var time: String?
        /// Why the benchmark failed; nil if it succeeded.
        package var failure: String?

        /// Creates a pair from its values.
        package init(
            sender: String, receiver: String, memory: BenchPlan.Direction, bytesPerSecond: Double,
            time: String? = nil, failure: String? = nil
        ) {
            self.sender = sender
            self.receiver = receiver
            self.memory = memory
            self.bytesPerSecond = bytesPerSecond
            self.time = time
            self.failure = failure
        }

        private enum CodingKeys: String, CodingKey {
            case sender, receiver, memory, time, failure
            case bytesPerSecond = "bytes_per_second"
        }
    }

    /// The most hosts, so that a picture of them can still be shown.
    package static let mostHosts = 512

    /// The version of this format.
    package var version = 1
    /// The names of the hosts, in the order of their numbers.
    package var hosts: [String] = []
    /// The pairs that were measured, each once.
    package var pairs: [Pair] = []

    /// Creates a matrix from benchmarks. If a pair was measured more than once, the last counts. Pure.
    ///
    /// - Parameter measured: the results, in the order of their files and lines.
    /// - Throws: `DevmemError` of kind `invalid` if there are more hosts than can be shown.
    package init(_ measured: [Pair]) throws(DevmemError) {
        var last: [[String]: Int] = [:]
        for (index, pair) in measured.enumerated() { last[[pair.sender, pair.receiver]] = index }
        let names = Set(measured.flatMap { [$0.sender, $0.receiver] })
        guard names.count <= Self.mostHosts else {
            throw DevmemError(
                .invalid, call: "draw a matrix",
                message: "it has \(names.count) hosts, and \(Self.mostHosts) is the most")
        }
        hosts = names.sorted { isBefore($0, $1) }
        pairs = last.values.map { measured[$0] }.sorted {
            $0.sender != $1.sender
                ? isBefore($0.sender, $1.sender) : isBefore($0.receiver, $1.receiver)
        }
    }
}

/// Whether a name precedes another, with numbers in their order: node9 precedes node10.
private func isBefore(_ one: String, _ other: String) -> Bool {
    let (first, second) = (parts(of: one), parts(of: other))
    for (a, b) in zip(first, second) where a != b {
        if let a = UInt64(a), let b = UInt64(b), a != b { return a < b }
        return a < b
    }
    return first.count != second.count ? first.count < second.count : one < other
}

/// Splits a name into digits and other characters, in turn.
private func parts(of name: String) -> [Substring] {
    var parts: [Substring] = []
    var rest = name[...]
    while let first = rest.first {
        let isNumber = first.isASCII && first.isNumber
        let part = rest.prefix { ($0.isASCII && $0.isNumber) == isNumber }
        parts.append(part)
        rest = rest.dropFirst(part.count)
    }
    return parts
}

/// Reads the results of benchmarks: the output of `bench run` with JSON, a report or an error a line.
/// Pure.
///
/// - Parameters:
///   - contents: the contents of a file.
///   - name: the file's name in errors.
/// - Returns: what each benchmark measured, in each direction, and the number of errors, which tell of
///   benchmarks that have not begun.
/// - Throws: `DevmemError` of kind `malformed` that names the line if it is neither.
package func benchResults(
    in contents: [UInt8], name: String
) throws(DevmemError) -> (pairs: [BenchMatrix.Pair], errors: Int) {
    var pairs: [BenchMatrix.Pair] = []
    var errors = 0
    let lines = contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() where !line.allSatisfy({ $0 == 0x20 || $0 == 0x0d }) {
        let result: BenchResult
        do {
            result = try JSONDecoder().decode(BenchResult.self, from: Data(line))
        } catch {
            throw DevmemError(
                .malformed, call: "read \(name)",
                message: "line \(index + 1) is not the report of a benchmark")
        }
        if result.error != nil {
            errors += 1
            continue
        }
        guard let measured = result.pairs else {
            throw DevmemError(
                .malformed, call: "read \(name)",
                message: "line \(index + 1) does not name its hosts")
        }
        pairs += measured
    }
    return (pairs, errors)
}

/// The parts of a report that a matrix shows. Other versions may have other parts.
private struct BenchResult: Decodable {
    struct End: Decodable {
        var host: String?
    }

    struct Direction: Decodable {
        var memory: BenchPlan.Direction
        var bytesPerSecond: Double

        private enum CodingKeys: String, CodingKey {
            case memory
            case bytesPerSecond = "bytes_per_second"
        }
    }

    /// Of a benchmark that has not begun.
    struct Failure: Decodable {}

    var time: String?
    var near: End?
    var far: End?
    var peer: String?
    var inbound: Direction?
    var outbound: Direction?
    var failure: String?
    var error: Failure?

    private enum CodingKeys: String, CodingKey {
        case time, near, far, inbound, outbound, failure, error
        case peer = "far_end"
    }

    /// What it measured; nil if it does not name its hosts.
    var pairs: [BenchMatrix.Pair]? {
        // A peer that has sent no report is known by the name that it was called by.
        guard let here = near?.host, let there = far?.host ?? peer else { return nil }
        func pair(_ sender: String, _ receiver: String, _ way: Direction) -> BenchMatrix.Pair {
            BenchMatrix.Pair(
                sender: printable(sender), receiver: printable(receiver), memory: way.memory,
                bytesPerSecond: drawable(way.bytesPerSecond), time: time.map { printable($0) },
                failure: failure.map { printable($0) })
        }
        return [inbound.map { pair(there, here, $0) }, outbound.map { pair(here, there, $0) }]
            .compactMap { $0 }
    }
}

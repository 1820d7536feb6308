import ArgumentParser
import DevmemCore

/// A size on the command line, such as `64M`.
struct ByteSize: ExpressibleByArgument, Equatable {
    var bytes: UInt64

    init(bytes: UInt64) {
        self.bytes = bytes
    }

    init?(argument: String) {
        guard let bytes = ByteCount.parse(argument) else { return nil }
        self.bytes = bytes
    }

    var defaultValueDescription: String { "\(bytes >> 20)M" }
}

/// Queues on the command line, such as `6-7` or `1,3,6-7`.
struct QueueSelection: ExpressibleByArgument, Equatable {
    /// More queues than any NIC has; keeps a slip of the finger from making a list of millions.
    private static let limit: UInt32 = 65536

    var queues: [UInt32]

    init?(argument: String) {
        var queues: Set<UInt32> = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), let first = Self.number(ends[0]),
                let last = ends.count == 2 ? Self.number(ends[1]) : first, first <= last
            else { return nil }
            queues.formUnion(first...last)
        }
        self.queues = queues.sorted()
    }

    private static func number(_ text: Substring) -> UInt32? {
        guard text.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        return UInt32(text).flatMap { $0 < limit ? $0 : nil }
    }
}

/// An endpoint on the command line, such as `192.0.2.1:5201`.
struct EndpointArgument: ExpressibleByArgument, Equatable {
    var text: EndpointText

    init?(argument: String) {
        guard let text = try? EndpointText(argument) else { return nil }
        self.text = text
    }
}

/// A pattern on the command line, such as `7`.
struct PatternArgument: ExpressibleByArgument, Equatable {
    var pattern: Pattern

    init?(argument: String) {
        guard let pattern = try? Pattern(argument) else { return nil }
        self.pattern = pattern
    }
}

/// Options that every command has.
struct CommonOptions: ParsableArguments {
    @Flag(name: .long, help: "Print the result as JSON.")
    var json = false

    @Flag(name: .shortAndLong, help: "Say on standard error what is done.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Print errors only on standard error.")
    var quiet = false

    func validate() throws {
        if verbose && quiet { throw ValidationError("-v and -q contradict each other.") }
    }
}

import ArgumentParser
import DevmemCore

/// Options for the threads that receive and send.
struct ThreadOptions: ParsableArguments {
    @OptionGroup var polling: BusyPollOption
    @OptionGroup var placement: ProcessorsOption
}

/// The option for the CPUs of threads.
struct ProcessorsOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Run the threads on these CPUs, in turn: 0-3 or 1,3; near for those of the NIC's NUMA node, \
            or any.
            """, valueName: "list"))
    var cpus = ProcessorsArgument(.near)
}

/// The option for busy polling.
struct BusyPollOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Poll the NIC for this many microseconds before a thread sleeps.", valueName: "us"))
    var busyPoll: BusyPollTime?
}

/// A time of busy polling on the command line, such as `50`.
struct BusyPollTime: OptionValue, Equatable {
    static let form = "microseconds from 1 to 1000000, such as 50"

    var microseconds: UInt32

    init?(argument: String) {
        guard let number = UInt32(argument), (1...1_000_000).contains(number) else { return nil }
        microseconds = number
    }
}

/// The CPUs of threads on the command line: `0-3`, `1,3`, `near` or `any`.
struct ProcessorsArgument: OptionValue, Equatable {
    static let form = "\(ProcessorList.form), near or any"
    static var completion: CompletionKind { .list(["near", "any"]) }

    var choice: ProcessorChoice

    init(_ choice: ProcessorChoice) {
        self.choice = choice
    }

    init?(argument: String) {
        switch argument {
        case "near": choice = .near
        case "any": choice = .any
        default:
            guard let list = ProcessorList(argument: argument) else { return nil }
            choice = .list(list.processors)
        }
    }

    var defaultValueDescription: String { choice == .near ? "near" : "any" }
}

/// CPUs on the command line: `0-3` or `1,3`.
struct ProcessorList: OptionValue, Equatable {
    static let form = "CPU numbers below 4096, such as 0-3 or 1,3"

    var processors: [Int]

    init?(argument: String) {
        guard let list = QueueSelection(argument: argument),
            case .list(let numbers) = list.choice, numbers.allSatisfy({ $0 < 4096 })
        else { return nil }
        processors = numbers.map { Int($0) }
    }
}

/// Describes threads in a summary: the CPUs, why those, and who polls the NIC.
func threadText(
    cpus: String?, reason: String?, isNAPIThreaded: Bool?, busyPoll: UInt32?
) -> String {
    let place = "on CPUs \(cpus ?? "unknown")" + (reason.map { " (\($0))" } ?? "")
    let polling = busyPoll.map { "polling the NIC for \($0) us before sleeping" }
    let napi = isNAPIThreaded.map { $0 ? "NAPI in a thread" : "NAPI in softirqs" }
    return [place, polling, napi].compactMap { $0 }.joined(separator: "; ")
}

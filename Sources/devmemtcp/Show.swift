import ArgumentParser
import DevmemCore
import DevmemTools

struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show NICs and their queues: bindings, page pools, steering, counters.",
        discussion: """
            Without an interface: all NICs of this network namespace, a line each. With an interface: \
            its queues with their bindings, page pools, counters, RSS and flow rules; and page pools \
            that cannot be freed, with the processes likely to hold them. Needs no privilege, but \
            without it sees only the user's own processes. --prometheus prints all of this as metrics.
            """)

    @Argument(
        help: ArgumentHelp("The interface. Default: all that have a device.", valueName: "iface"),
        completion: .interface)
    var interface: String?

    @Flag(name: .long, help: "Show virtual interfaces too.")
    var all = false

    @Flag(name: .shortAndLong, help: "Show each queue's rates, updated every interval.")
    var watch = false

    @Option(
        name: .long,
        help: ArgumentHelp("Length of an interval of --watch.", valueName: "seconds"))
    var interval = Interval(milliseconds: 1000)

    @Option(
        name: .long,
        help: ArgumentHelp("End --watch after this many intervals.", valueName: "n"))
    var count: Int?

    @Flag(name: .long, help: "Print metrics in the text format of Prometheus.")
    var prometheus = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write the metrics to a file for node_exporter, which is replaced as a whole.",
            valueName: "file"), completion: .file())
    var prometheusFile: String?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if prometheus && prometheusFile != nil {
            throw ValidationError("--prometheus and --prometheus-file cannot be combined.")
        }
        if watch && interface == nil { throw ValidationError("--watch needs an interface.") }
        if all && interface != nil {
            throw ValidationError("--all and an interface cannot be combined.")
        }
        if let count, !watch || count < 1 {
            throw ValidationError("--count takes a number of at least 1 and requires --watch.")
        }
        if printsMetrics && (watch || common.json) {
            throw ValidationError("Metrics cannot be combined with --watch or --json.")
        }
    }

    private var printsMetrics: Bool { prometheus || prometheusFile != nil }

    func run() throws {
        try reporting(common) {
            if printsMetrics { return try showMetrics() }
            guard let interface else { return try showAll() }
            let named = try NetworkInterface(named: interface)
            if watch {
                let signal = try Watch(
                    interface: named, interval: interval, count: count, isJSON: common.json
                ).run()
                if let signal { throw ExitCode(128 + signal) }
            } else {
                let state = try InterfaceState(of: named)
                if common.json {
                    try printJSON(ShowReport(interfaces: [InterfaceReport(state)]))
                } else {
                    try writeOutput(text(of: state))
                }
            }
        }
    }

    private func showAll() throws {
        let list = try InterfaceList(all: all)
        if common.json {
            try printJSON(ShowReport(list))
        } else {
            try writeOutput(text(of: list))
        }
        try conclude(list.problems)
    }

    private func showMetrics() throws {
        let named = try interface.map { name throws(DevmemError) in
            try NetworkInterface(named: name)
        }
        let host = try HostState(of: named, all: all)
        let text = prometheusText(of: host, version: BuildVersion.number)
        if let prometheusFile {
            try OutputPath.replace(prometheusFile, contents: text.utf8, mode: 0o644)
        } else {
            try writeOutput(text)
        }
        try conclude(host.problems)
    }

    /// Reports the interfaces that could not be read, which is a failure.
    private func conclude(_ problems: [(name: String, error: DevmemError)]) throws {
        for problem in problems { writeError("devmemtcp: \(problem.name): \(problem.error)\n") }
        if !problems.isEmpty { throw ExitCode.failure }
    }
}

/// The interval between two samples on the command line, in seconds.
struct Interval: OptionValue, Equatable {
    static let form =
        "seconds from 0.1 to 86400, such as 0.5"

    /// A shorter interval would measure the sampling itself; a longer one does not fit poll(2)'s
    /// timeout.
    private static let limits = 0.1...86400.0

    var milliseconds: Int32

    init(milliseconds: Int32) {
        self.milliseconds = milliseconds
    }

    init?(argument: String) {
        guard let seconds = Double(argument), Self.limits.contains(seconds) else { return nil }
        milliseconds = Int32((seconds * 1000).rounded())
    }

    var duration: Duration { .milliseconds(Int64(milliseconds)) }

    var defaultValueDescription: String { "\(milliseconds / 1000)" }
}

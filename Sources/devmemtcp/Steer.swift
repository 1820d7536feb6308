import ArgumentParser
import DevmemCore
import DevmemTools

struct Steer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "steer",
        abstract: "Set a NIC up for device memory, and restore it exactly.",
        discussion: """
            Turns header split on, keeps other traffic off the chosen queues, and steers flows to \
            them. Before a setting changes, its old value is written to a journal, so that it can be \
            restored even if the process is killed.
            """,
        subcommands: [Plan.self, Apply.self, Show.self, Restore.self])
}

/// The interface, queues and flows to steer.
struct SteeringOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The NIC.", valueName: "iface"), completion: .nic)
    var interface: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Receive queues for device memory: 6-7, 1,3, 'last 2', or auto for a free one.",
            valueName: "list"))
    var queues = QueueSelection(.automatic(1))

    @OptionGroup var flows: FlowOptions

    func request() throws(DevmemError) -> SteeringRequest {
        try flows.request(queues: queues.choice)
    }
}

/// The flows to steer, and how they share the queues.
struct FlowOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            """
            TCP traffic to steer to the queues: DST:PORT or :PORT, optionally followed by ,SRC or \
            ,SRC:PORT; can be given more than once.
            """, valueName: "flow"))
    var flow: [FlowArgument] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            How flows share the queues: round-robin, one-to-one, or rss for one RSS context over \
            all of them.
            """, valueName: "way"))
    var spread = FlowSpread.roundRobin

    @Option(
        name: .customLong("rss-table"),
        help: ArgumentHelp(
            """
            How the main RSS table changes: minimal changes only entries that lead to the chosen \
            queues, even spreads all entries evenly as ethtool -X does.
            """, valueName: "style"))
    var table = TableStyle.minimal

    func request(queues: QueueChoice) throws(DevmemError) -> SteeringRequest {
        var flows: [SteeringFlow] = []
        for argument in flow { flows += try argument.resolved() }
        return SteeringRequest(queues: queues, flows: flows, spread: spread, table: table)
    }
}

/// The kernel interface to use for RSS.
struct RSSOptions: ParsableArguments {
    @Option(
        name: .customLong("rss-api"),
        help: ArgumentHelp(
            """
            The kernel interface that changes RSS: netlink, ioctl, or auto for netlink if the \
            kernel supports it.
            """, valueName: "api"))
    var interface = RSSInterface.automatic
}

import ArgumentParser
import DevmemCore
import DevmemTools

struct Steer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "steer",
        abstract: "Set a NIC up for device memory, and back exactly.",
        discussion: """
            Turns header split on, keeps other traffic off the queues taken, and steers flows to \
            them. Before a setting changes, what it was is written down, so that it is put back \
            whatever ends the one who changed it.
            """,
        subcommands: [Plan.self, Apply.self, Show.self, Restore.self])
}

/// The interface and what is wished of it.
struct SteeringOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The NIC.", valueName: "iface"))
    var interface: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Receive queues for device memory: 6-7, 1,3, 'last 2', or auto for a free one.",
            valueName: "list"))
    var queues = QueueSelection(.automatic(1))

    @OptionGroup var flows: FlowOptions

    func wish() throws(DevmemError) -> SteeringRequest {
        try flows.wish(queues: queues.choice)
    }
}

/// Which traffic to steer, and how.
struct FlowOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            """
            TCP traffic to steer to them: DST:PORT or :PORT, and behind a comma SRC or SRC:PORT; \
            may be given more than once.
            """, valueName: "flow"))
    var flow: [FlowArgument] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            How flows share the queues: round-robin, one-to-one, or rss for an RSS context that \
            all of them go to.
            """, valueName: "way"))
    var spread = FlowSpread.roundRobin

    @Option(
        name: .customLong("rss-table"),
        help: ArgumentHelp(
            """
            What becomes of the main RSS table: minimal changes only entries that point at taken \
            queues, even spreads all anew as ethtool -X does.
            """, valueName: "style"))
    var table = TableStyle.minimal

    func wish(queues: QueueChoice) throws(DevmemError) -> SteeringRequest {
        var flows: [SteeringFlow] = []
        for argument in flow { flows += try argument.resolved() }
        return SteeringRequest(queues: queues, flows: flows, spread: spread, table: table)
    }
}

/// Which of the kernel's interfaces changes RSS.
struct RSSOptions: ParsableArguments {
    @Option(
        name: .customLong("rss-api"),
        help: ArgumentHelp(
            """
            The kernel interface that changes RSS: netlink, ioctl, or auto for netlink where the \
            kernel has it.
            """, valueName: "api"))
    var interface = RSSInterface.automatic
}

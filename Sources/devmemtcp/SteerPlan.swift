import ArgumentParser
import DevmemCore
import DevmemTools

extension Steer {
    struct Plan: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "plan",
            abstract: "Show what would change, and change nothing.")

        @OptionGroup var steering: SteeringOptions

        @Flag(name: .long, help: "Print the plan as ethtool(8) command lines.")
        var asEthtool = false

        @OptionGroup var common: CommonOptions

        func run() throws {
            try reporting(common) {
                let interface = try NetworkInterface(named: steering.interface)
                try interface.requireNIC("choose queues of")
                let snapshot = try NICSnapshot(choosingQueuesOf: interface)
                let plan = try SteeringPlan(
                    for: try steering.request(), on: snapshot, interface: interface.name)
                let lines = plan.ethtoolCommands(for: interface.name, on: snapshot)
                let interruptions = SteeringInterruptions(
                    of: plan.changes, driver: snapshot.driver)
                if common.json {
                    try printJSON(
                        PlanReport(
                            interface: interface.name, queues: plan.queues, changes: plan.changes,
                            notes: plan.notes, interruptions: interruptions, ethtool: lines))
                } else if asEthtool {
                    try writeOutput(lines.map { $0 + "\n" }.joined())
                } else {
                    try writeOutput(
                        "\(interface.name), queues \(queueList(plan.queues)):\n"
                            + text(of: plan.changes, notes: plan.notes)
                            + "interruptions: \(interruptions.text(driver: snapshot.driver))\n")
                }
            }
        }
    }

    struct Apply: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "apply",
            abstract: "Change settings and leave them in place until they are restored.",
            discussion: """
                Until then other commands use the steered queues and flows, and refuse requests \
                that would need more changes.
                """)

        @OptionGroup var steering: SteeringOptions

        @Option(
            name: .long,
            help: ArgumentHelp("Name of the steering, for show and restore.", valueName: "name"))
        var name = "steer"

        @OptionGroup var rss: RSSOptions
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if name.isEmpty { throw ValidationError("--name must not be empty.") }
        }

        func run() throws {
            try reporting(common) {
                let interface = try NetworkInterface(named: steering.interface)
                let request = try steering.request()
                let stop = try StopSignal.ofUser()
                var transaction = try SteeringTransaction(
                    applying: request, to: interface, as: "devmemtcp steer apply",
                    rss: rss.interface, logger: common.logger)
                if let signal = stop.pending() {
                    try transaction.restore()
                    throw ExitCode(128 + signal)
                }
                let changes = transaction.changes
                try transaction.keep(as: name)
                let report = PlanReport(
                    interface: interface.name, name: name, queues: transaction.queues,
                    changes: changes, notes: transaction.notes)
                let text =
                    "\(interface.name), queues \(queueList(transaction.queues)), "
                    + "steered by \"\(name)\":\n" + text(of: changes, notes: transaction.notes)
                let output = common.json ? try json(of: report) : text
                do throws(DevmemError) {
                    try writeOutput(output)
                } catch {
                    throw error.advising(
                        "\(interface.name) is steered; "
                            + "\(AdvisedCommand(.restore, interface.name)) restores it")
                }
            }
        }
    }
}

/// Formats changes and notes, one per line.
private func text(of changes: [SteeringChange], notes: [String]) -> String {
    let lines = changes.isEmpty ? ["  nothing to change"] : changes.map { "  \($0)" }
    return (lines + notes.map { "note: \($0)" }).map { $0 + "\n" }.joined()
}

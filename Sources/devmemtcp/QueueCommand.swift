import ArgumentParser
import DevmemCore
import DevmemTools

struct QueueCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Restart or lease single receive queues of a NIC.",
        subcommands: [Restart.self, Lease.self, Unlease.self])

    struct Restart: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "restart",
            abstract: "Restart single receive queues while the others keep running.",
            discussion: """
                Uses the kernel's queue API: a small dma-buf is bound to the queue for a moment. \
                Other traffic is moved off the queue meanwhile.
                """)

        @Argument(help: ArgumentHelp("The NIC.", valueName: "iface"), completion: .nic)
        var interface: String

        @Argument(
            help: ArgumentHelp("The receive queues.", valueName: "queue"), completion: .queue)
        var queues: [UInt32]

        @Flag(
            name: .long,
            help: "Restart a queue even if other flow rules or RSS contexts lead to it.")
        var force = false

        @OptionGroup var common: CommonOptions

        func run() throws {
            try reporting(common) {
                let interface = try NetworkInterface(named: interface)
                let stop = try StopSignal.ofUser()
                var done: [QueueRestart] = []
                for queue in queues {
                    let restarted = try restart(
                        queue: queue, of: interface, force: force, as: "devmemtcp queue restart",
                        logger: common.logger)
                    done.append(restarted)
                    if !common.json { try writeOutput(text(of: restarted) + "\n") }
                    if let signal = stop.pending() { throw ExitCode(128 + signal) }
                }
                if common.json {
                    try printJSON(RestartReport(interface: interface.name, queues: done))
                }
            }
        }

        private func text(of restarted: QueueRestart) -> String {
            func change<Value: CustomStringConvertible & Equatable>(
                _ before: Value?, _ after: Value?
            ) -> String {
                let words = [before, after].map { $0.map(\.description) ?? "unknown" }
                return before == after ? words[0] : words.joined(separator: " -> ")
            }
            return "queue \(restarted.queue): page pool "
                + "\(change(restarted.poolBefore, restarted.poolAfter)), NAPI "
                + change(restarted.napiBefore, restarted.napiAfter)
        }
    }
}

/// The report of `queue restart`.
struct RestartReport: Encodable {
    private enum CodingKeys: CodingKey {
        case version, interface, queues
    }

    let version = 1
    var interface: String
    var queues: [QueueRestart]
}

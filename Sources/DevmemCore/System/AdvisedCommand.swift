/// A command that advice suggests.
package struct AdvisedCommand: Equatable, Sendable, CustomStringConvertible {
    /// The effect of a command.
    package enum Action: CaseIterable, Sendable {
        /// Restore a NIC's settings.
        case restore
        /// Drop a NIC's journal without changing the NIC.
        case forget
        /// Drop the journals of all NICs.
        case forgetAll
        /// Show which process steers a NIC.
        case showSteering
        /// List the NICs.
        case showAll
        /// Check this host.
        case checkHost
        /// Check a NIC.
        case checkNIC
        /// Check a NIC by binding a queue.
        case probe
        /// Serve benchmarks.
        case serveBench
        /// Lease a queue of a NIC to a virtual interface.
        case leaseQueue
    }

    /// The effect of the command.
    package var action: Action
    /// The NIC that the command applies to; empty if none.
    package var interface: String

    /// Creates a command for a NIC, or for none.
    package init(_ action: Action, _ interface: String = "") {
        self.action = action
        self.interface = interface
    }

    /// The command in the program's words, or in plain ones.
    package var description: String { AdviceStyle.current.command(self) }

    /// The command in words that fit any program.
    var plain: String {
        switch action {
        case .restore: "restore the settings of \(interface)"
        case .forget: "drop the journal of \(interface)"
        case .forgetAll: "drop all journals"
        case .showSteering: "show the steering of \(interface)"
        case .showAll: "list the NICs"
        case .checkHost: "check the host"
        case .checkNIC: "check \(interface)"
        case .probe: "check \(interface) by binding a queue"
        case .serveBench: "serve benchmarks"
        case .leaseQueue: "lease a queue of a NIC to \(interface)"
        }
    }
}

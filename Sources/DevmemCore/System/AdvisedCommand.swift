/// Something to run that advice tells its reader of.
package struct AdvisedCommand: Equatable, Sendable, CustomStringConvertible {
    /// What it does.
    package enum Action: CaseIterable, Sendable {
        /// Restore a NIC's settings.
        case restore
        /// Drop the journal of a NIC, and leave the NIC as it is.
        case forget
        /// The same with all NICs.
        case forgetAll
        /// Tell by whom a NIC is steered.
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
    }

    /// What it does.
    package var action: Action
    /// The NIC that it is about; empty where it is about none.
    package var interface: String

    /// Makes a command that is about a NIC, or about none.
    package init(_ action: Action, _ interface: String = "") {
        self.action = action
        self.interface = interface
    }

    /// The command in the words of the program, or else in plain ones.
    package var description: String { AdviceStyle.current.command(self) }

    /// What it does, in words that every program's user understands.
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
        }
    }
}

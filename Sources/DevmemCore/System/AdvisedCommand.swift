/// A command of this suite that a text tells its reader to run. All that texts name are made here, so
/// that a test can try each of them on the parser of command lines.
package struct AdvisedCommand: Equatable, Sendable, CustomStringConvertible {
    /// What the command does.
    package enum Action: CaseIterable, Sendable {
        /// Put a NIC's settings back.
        case restore
        /// Drop what is written down of a NIC, and leave it as it is.
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
        /// Be the far end of benchmarks.
        case serveBench
    }

    /// What the command does.
    package var action: Action
    /// The NIC that it is about; empty where it is about none.
    package var interface: String

    /// Makes a command that is about a NIC, or about none.
    package init(_ action: Action, _ interface: String = "") {
        self.action = action
        self.interface = interface
    }

    /// The words behind the program's name.
    package var arguments: [String] {
        switch action {
        case .restore: ["steer", "restore", interface]
        case .forget: ["steer", "restore", interface, "--forget"]
        case .forgetAll: ["steer", "restore", "--all", "--forget"]
        case .showSteering: ["steer", "show", interface]
        case .showAll: ["show"]
        case .checkHost: ["doctor"]
        case .checkNIC: ["doctor", interface]
        case .probe: ["doctor", interface, "--probe"]
        case .serveBench: ["bench", "serve"]
        }
    }

    /// The command line.
    package var description: String { (["devmemtcp"] + arguments).joined(separator: " ") }
}

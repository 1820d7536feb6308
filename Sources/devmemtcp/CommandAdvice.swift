import ArgumentParser
import DevmemCore

/// Advice in terms of this program's options and commands.
extension AdviceStyle {
    /// Returns the style for advice that a command prints.
    static func of(_ command: any ParsableCommand.Type) -> AdviceStyle {
        let isBind = command == Bind.self
        let known = parameters(of: command)
        return AdviceStyle(
            parameter: { parameter in
                guard known.contains(parameter) else { return nil }
                return isBind && parameter == .queues ? "--rx" : parameter.option
            }, command: { $0.line })
    }

    /// Returns the parameters that a command has an option for. The port is one of `bench run`, whatever
    /// command says so.
    static func parameters(of command: any ParsableCommand.Type) -> Set<Advice.Parameter> {
        let own: Set<Advice.Parameter> =
            switch command {
            case is Serve.Type: [.interface, .from, .queues, .memory, .spread]
            case is Connect.Type: [.interface, .memory, .pin]
            case is Bind.Type: [.queues, .memory, .flow, .spread]
            case is BenchRun.Type: [.remote, .interface, .memory, .from, .queues]
            case is BenchServe.Type: [.interface, .from]
            case is Validate.Type: [.remote, .peer, .settings]
            case is Steer.Plan.Type, is Steer.Apply.Type: [.queues, .flow, .spread]
            case is QueueCommand.Restart.Type: [.force]
            case is QueueCommand.Unlease.Type: [.delete]
            default: []
            }
        return own.union([.port])
    }
}

extension Advice.Parameter {
    /// The option that sets the parameter, as most commands name it. Only `bench run` has one for
    /// the port.
    var option: String {
        switch self {
        case .memory: "--memory"
        case .queues: "--queues"
        case .interface: "--interface"
        case .from: "--from"
        case .flow: "--flow"
        case .spread: "--spread"
        case .pin: "--pin"
        case .force: "--force"
        case .remote: "--remote"
        case .peer: "--peer"
        case .settings: "--config"
        case .port: "--port of bench run"
        case .delete: "--delete"
        }
    }
}

extension AdvisedCommand {
    /// The arguments after the program's name.
    var arguments: [String] {
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
        case .leaseQueue: ["queue", "lease", "NIC", "QUEUE", "--to", interface]
        }
    }

    /// The command line.
    var line: String { (["devmemtcp"] + arguments.map(shellWord)).joined(separator: " ") }
}

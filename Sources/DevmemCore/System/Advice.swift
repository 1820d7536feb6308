/// What the user can do about a failure.
///
/// Advice names parameters and commands abstractly, as in `"choose a smaller \(.memory)"`. An
/// `AdviceStyle` supplies the program's own words for them.
public struct Advice: Equatable, Sendable, ExpressibleByStringInterpolation,
    CustomStringConvertible
{
    /// A parameter of a request.
    package enum Parameter: CaseIterable, Sendable {
        /// The size of the dma-buf.
        case memory
        /// The receive queues.
        case queues
        /// The NIC.
        case interface
        /// The addresses that connections come from.
        case from
        /// The flows to steer.
        case flow
        /// How flows are distributed over queues.
        case spread
        /// The use of the NIC although the route leads elsewhere.
        case pin
        /// The restart of queues although it breaks connections.
        case force
        /// The remote host, which is controlled over a channel.
        case remote
        /// The peer, which is not controlled.
        case peer
        /// The settings file of a test.
        case settings
        /// The first port of a benchmark.
        case port
        /// The deletion of an interface.
        case delete
    }

    /// A placeholder for a value that is unknown where the advice is written.
    package enum Unknown: Sendable {
        /// The name of the interface that failed; `naming(_:)` fills it in.
        case nic
    }

    fileprivate enum Part: Equatable, Sendable {
        case text(String)
        case parameter(Parameter)
        case command(AdvisedCommand)
        case unknown(Unknown)
        case any([Advice])
    }

    private var parts: [Part]

    private init(parts: [Part]) {
        self.parts = parts
    }

    /// Creates advice from text without parameters or commands.
    public init(stringLiteral text: String) {
        self.init(parts: [.text(text)])
    }

    /// Creates advice from text with interpolated values.
    public init(stringInterpolation: StringInterpolation) {
        self.init(parts: stringInterpolation.parts)
    }

    /// Creates advice from alternatives, of which a program names those that it has a parameter for.
    package static func any(_ ways: Advice...) -> Advice { Advice(parts: [.any(ways)]) }

    /// Collects the parts of advice.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var parts: [Part] = []

        /// Creates an empty collection.
        public init(literalCapacity: Int, interpolationCount: Int) {}

        /// Adds text.
        public mutating func appendLiteral(_ literal: String) { parts.add(.text(literal)) }

        /// Adds a parameter.
        package mutating func appendInterpolation(_ parameter: Parameter) {
            parts.add(.parameter(parameter))
        }

        /// Adds a command to run.
        package mutating func appendInterpolation(_ command: AdvisedCommand) {
            parts.add(.command(command))
        }

        /// Adds a placeholder.
        package mutating func appendInterpolation(_ unknown: Unknown) {
            parts.add(.unknown(unknown))
        }

        /// Adds any other value as text.
        public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            parts.add(.text(value.description))
        }
    }

    /// Concatenates two parts of advice.
    package static func + (first: Advice, second: Advice) -> Advice {
        Advice(parts: second.parts.reduce(into: first.parts) { $0.add($1) })
    }

    /// Returns the advice with the placeholder replaced by an interface name, as a word of a command.
    package func naming(_ interface: String) -> Advice {
        var named = Advice(parts: [])
        for part in parts {
            switch part {
            case .unknown(.nic): named.parts.add(.text(shellWord(interface)))
            case .any(let ways): named.parts.add(.any(ways.map { $0.naming(interface) }))
            default: named.parts.add(part)
            }
        }
        return named
    }

    /// Returns the advice in a style's words; nil if the program has no such parameter.
    package func text(in style: AdviceStyle = .current) -> String? {
        var text = ""
        for part in parts {
            switch part {
            case .text(let words): text += words
            case .parameter(let parameter):
                guard let words = style.parameter(parameter) else { return nil }
                text += words
            case .command(let command): text += style.command(command)
            case .unknown(.nic): text += "IFACE"
            case .any(let ways):
                let known = ways.compactMap { $0.text(in: style) }
                guard !known.isEmpty else { return nil }
                text += known.joined(separator: ", or ")
            }
        }
        return text
    }

    /// The advice in the program's words, or in plain ones.
    public var description: String { text() ?? text(in: .plain) ?? "" }
}

extension [Advice.Part] {
    /// Adds a part; merges text with text before it.
    fileprivate mutating func add(_ part: Advice.Part) {
        if case .text(let text) = part, case .text(let before)? = last {
            self[count - 1] = .text(before + text)
        } else if part != .text("") {
            append(part)
        }
    }
}

extension Advice.Parameter: CustomStringConvertible {
    /// The parameter in the program's words, or in plain ones.
    public var description: String { AdviceStyle.current.parameter(self) ?? plain }

    /// The parameter in words that fit any program.
    var plain: String {
        switch self {
        case .memory: "memory size"
        case .queues: "the list of queues"
        case .interface: "the interface"
        case .from: "the address"
        case .flow: "the flow"
        case .spread: "the spread"
        case .pin: "pinning"
        case .force: "force"
        case .remote: "a remote side"
        case .peer: "a peer"
        case .settings: "the settings"
        case .port: "the port"
        case .delete: "deletion"
        }
    }
}

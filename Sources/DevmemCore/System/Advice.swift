/// What the user can do about a failure.
///
/// Advice names what can be changed and what can be run, not how that is written: `"choose a smaller
/// \(.memory)"`. A program gives these its own words with an `AdviceStyle`.
public struct Advice: Equatable, Sendable, ExpressibleByStringInterpolation,
    CustomStringConvertible
{
    /// What a request can vary.
    package enum Parameter: CaseIterable, Sendable {
        /// The size of the dma-buf.
        case memory
        /// The receive queues.
        case queues
        /// The NIC.
        case interface
        /// Where connections come from.
        case from
        /// The flows to steer.
        case flow
        /// How flows are spread over queues.
        case spread
        /// That the NIC is used although the route leads elsewhere.
        case pin
        /// That queues restart although that breaks connections.
        case force
        /// The remote side, which takes commands.
        case remote
        /// The peer, which takes none.
        case peer
        /// The file with the settings of a test.
        case settings
        /// The first port of a benchmark.
        case port
    }

    /// A stand-in for what is not known where the advice is made.
    package enum Unknown: Sendable {
        /// The name of the interface that failed; `naming(_:)` fills it in.
        case nic
    }

    fileprivate enum Part: Equatable, Sendable {
        case text(String)
        case parameter(Parameter)
        case command(AdvisedCommand)
        case unknown(Unknown)
    }

    private var parts: [Part]

    private init(parts: [Part]) {
        self.parts = parts
    }

    /// Advice that names nothing which programs write differently.
    public init(stringLiteral text: String) {
        self.init(parts: [.text(text)])
    }

    /// Advice from text with values in it.
    public init(stringInterpolation: StringInterpolation) {
        self.init(parts: stringInterpolation.parts)
    }

    /// Collects the parts of advice.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var parts: [Part] = []

        /// Begins with nothing.
        public init(literalCapacity: Int, interpolationCount: Int) {}

        /// Adds text.
        public mutating func appendLiteral(_ literal: String) { parts.add(literal) }

        /// Adds what a request can vary.
        package mutating func appendInterpolation(_ parameter: Parameter) {
            parts.append(.parameter(parameter))
        }

        /// Adds a command to run.
        package mutating func appendInterpolation(_ command: AdvisedCommand) {
            parts.append(.command(command))
        }

        /// Adds a stand-in.
        package mutating func appendInterpolation(_ unknown: Unknown) {
            parts.append(.unknown(unknown))
        }

        /// Adds any other value as text.
        public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            parts.add(value.description)
        }
    }

    /// One piece of advice behind the other.
    package static func + (first: Advice, second: Advice) -> Advice {
        var sum = first
        for part in second.parts {
            if case .text(let text) = part { sum.parts.add(text) } else { sum.parts.append(part) }
        }
        return sum
    }

    /// The same advice about an interface.
    func naming(_ interface: String) -> Advice {
        parts.reduce(Advice(parts: [])) { sum, part in
            sum + Advice(parts: [part == .unknown(.nic) ? .text(interface) : part])
        }
    }

    /// The advice in the words of a style; nil if the style's program cannot follow it.
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
            }
        }
        return text
    }

    /// The advice in the words of the program, or else in plain ones.
    public var description: String { text() ?? text(in: .plain) ?? "" }
}

extension [Advice.Part] {
    /// Adds text, which is one part with text before it.
    fileprivate mutating func add(_ text: String) {
        if case .text(let before)? = last {
            self[count - 1] = .text(before + text)
        } else if !text.isEmpty {
            append(.text(text))
        }
    }
}

extension Advice.Parameter: CustomStringConvertible {
    /// The parameter in the words of the program, or else in plain ones.
    public var description: String { AdviceStyle.current.parameter(self) ?? plain }

    /// The parameter in words that every program's user understands.
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
        }
    }
}

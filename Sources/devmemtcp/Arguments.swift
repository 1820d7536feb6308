public import ArgumentParser
public import DevmemCore
import DevmemTools

/// A size on the command line, such as `64M`.
struct ByteSize: OptionValue, Equatable {
    static let form =
        "a number of bytes, or a number with suffix K, M, G, T, P or E (powers of 1024), such as 64M"

    var bytes: UInt64

    init(bytes: UInt64) {
        self.bytes = bytes
    }

    init?(argument: String) {
        guard let bytes = try? ByteCount.read(argument) else { return nil }
        self.bytes = bytes
    }

    static func problem(with text: String) -> String? {
        do throws(ByteCount.Problem) {
            _ = try ByteCount.read(text)
            return nil
        } catch {
            return switch error {
            case .noNumber: nil
            case .unknownUnit(let unit): "\(unit) is not a unit"
            case .tooLarge: "it exceeds \(UInt64.max) bytes, the largest size"
            }
        }
    }

    var defaultValueDescription: String { "\(bytes >> 20)M" }
}

/// Receive queues on the command line: `6-7`, `1,3,6-7`, `last 2` or `auto`.
struct QueueSelection: OptionValue, Equatable {
    static let form =
        "queue numbers such as 6-7 or 1,3, or 'last N' or 'auto N' for N queues"
    static var completion: CompletionKind { .queueList }

    /// More queues than any NIC has; a typo does not build a list of millions.
    private static let limit: UInt32 = 65536

    var choice: QueueChoice

    init(_ choice: QueueChoice) {
        self.choice = choice
    }

    init?(argument: String) {
        let words = argument.split(separator: " ")
        if let first = words.first, first == "last" || first == "auto" {
            guard words.count < 3, let count = words.count == 2 ? Self.number(words[1]) : 1,
                count > 0
            else { return nil }
            choice = first == "last" ? .last(Int(count)) : .automatic(Int(count))
            return
        }
        var queues: Set<UInt32> = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), let first = Self.number(ends[0]),
                let last = ends.count == 2 ? Self.number(ends[1]) : first, first <= last
            else { return nil }
            queues.formUnion(first...last)
        }
        choice = .list(queues.sorted())
    }

    var defaultValueDescription: String { "auto" }

    private static func number(_ text: Substring) -> UInt32? {
        guard text.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        return UInt32(text).flatMap { $0 < limit ? $0 : nil }
    }
}

/// A flow on the command line: `DST:PORT` or `DST:PORT,SRC[:PORT]`.
struct FlowArgument: OptionValue, Equatable {
    static let form =
        "DST:PORT, [IPV6]:PORT or :PORT, optionally followed by ,SRC or ,SRC:PORT, such as "
        + "192.0.2.1:5201,192.0.2.2"

    var destination: EndpointText
    var source: SourceArgument?

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map(
            String.init)
        guard (1...2).contains(parts.count), let destination = try? EndpointText(parts[0]) else {
            return nil
        }
        self.destination = destination
        guard parts.count == 2 else { return }
        guard let source = SourceArgument(argument: parts[1]) else { return nil }
        self.source = source
    }

    /// Resolves the host names and returns one flow per pair of addresses of the same family.
    ///
    /// - Throws: `DevmemError` if a name does not resolve, or if the two ends have no address
    ///   family in common.
    func resolved() throws(DevmemError) -> [SteeringFlow] {
        let ends = try Endpoint.candidates(resolving: destination)
        guard let source else { return ends.map { SteeringFlow(to: $0) } }
        let flows = ReceiveRequest.flows(
            to: ends, from: try source.resolved(), port: source.port)
        guard flows.isEmpty else { return flows }
        throw DevmemError(
            .invalid, call: "steer from \(source.host) to \(destination)",
            message: "one address is IPv4, the other IPv6")
    }
}

/// The source of a connection on the command line: `192.0.2.2`, `192.0.2.2:4000` or
/// `[2001:db8::2]:4000`.
struct SourceArgument: OptionValue, Equatable {
    static let form =
        "ADDR, ADDR:PORT or [IPV6]:PORT with a port from 1 to 65535, such as 192.0.2.2:4000"

    var host: String
    /// Nil matches any port.
    var port: UInt16?

    init?(argument: String) {
        // A single colon precedes a port; more than one make an IPv6 address.
        if argument.hasPrefix("[") || argument.count(where: { $0 == ":" }) == 1 {
            guard let end = try? EndpointText(argument), !end.host.isEmpty,
                let port = Endpoint.port(named: end.port), port != 0
            else { return nil }
            host = end.host
            self.port = port
        } else {
            guard !argument.isEmpty else { return nil }
            host = argument
        }
    }

    /// Resolves the host and returns all its addresses.
    func resolved() throws(DevmemError) -> [IPAddress] { try Endpoint.addresses(of: host) }
}

extension MemoryProvider: OptionValue {
    static let form =
        """
        auto, udmabuf, udmabuf:SIZE for huge pages, heap:NAME, fd:N for a descriptor, unix:PATH, cuda, \
        rocm, or cuda:GPU or rocm:GPU with a number, a UUID, a PCI address or near:IFACE
        """
    static var completion: CompletionKind { .provider }

    init?(argument: String) {
        self.init(argument)
    }
}
extension FlowSpread: ExpressibleByArgument {}
extension ReceiveEngineChoice: ExpressibleByArgument {}
extension TableStyle: ExpressibleByArgument {}
extension RSSInterface: ExpressibleByArgument {}

extension PageSizeChoice: OptionValue {
    static let form = "a power of two from 4K, or auto"
    static var completion: CompletionKind { .list(["auto"]) }

    init?(argument: String) {
        if argument == "auto" {
            self = .automatic
        } else if let size = ByteSize(argument: argument).flatMap({ UInt32(exactly: $0.bytes) }),
            size >= 4096, size & (size - 1) == 0
        {
            self = size == 4096 ? .onePage : .bytes(size)
        } else {
            return nil
        }
    }
}

/// An endpoint on the command line, such as `192.0.2.1:5201`.
struct EndpointArgument: OptionValue, Equatable {
    static let form =
        "HOST:PORT, [IPV6]:PORT or :PORT, such as 192.0.2.1:5201"

    var text: EndpointText

    init?(argument: String) {
        guard let text = try? EndpointText(argument) else { return nil }
        self.text = text
    }
}

/// A local address on the command line: `192.0.2.1`, `192.0.2.1:4000`, `[2001:db8::1]:4000`.
struct LocalAddressArgument: OptionValue, Equatable {
    static let form =
        "ADDR, ADDR:PORT or [IPV6]:PORT, such as 192.0.2.1"

    var host: String
    var port: String

    init?(argument: String) {
        if argument.hasPrefix("[") || argument.count(where: { $0 == ":" }) == 1 {
            guard let text = try? EndpointText(argument), !text.host.isEmpty else { return nil }
            (host, port) = (text.host, text.port)
        } else {
            guard !argument.isEmpty else { return nil }
            (host, port) = (argument, "0")
        }
    }

    /// Resolves the host and returns all its addresses.
    func candidates() throws(DevmemError) -> [Endpoint] {
        try Endpoint.candidates(
            resolving: EndpointText(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"))
    }
}

/// A place to start the peer in, on the command line: `netns:NAME` or `ssh:HOST`.
struct RemoteArgument: OptionValue, Equatable {
    static let form =
        "netns:NAME for a network namespace, or ssh:HOST, such as ssh:farhost"
    static var completion: CompletionKind { .place }

    var place: RemotePlace

    init?(argument: String) {
        guard let place = RemotePlace(argument) else { return nil }
        self.place = place
    }
}

/// A running peer on the command line: `192.0.2.2`, `192.0.2.2:5201` or `[2001:db8::2]:5201`.
struct PeerArgument: OptionValue, Equatable {
    static let form =
        "HOST, HOST:PORT, an IPv6 address or [IPV6]:PORT, such as 192.0.2.2:5201"

    /// The port to use if none is given.
    static let defaultPort = "5201"

    var address: LocalAddressArgument

    init?(argument: String) {
        guard let address = LocalAddressArgument(argument: argument) else { return nil }
        self.address = address
        if address.port == "0" { self.address.port = Self.defaultPort }
    }

    /// Resolves the host and returns all its addresses.
    func resolved() throws(DevmemError) -> [Endpoint] { try address.candidates() }
}

/// The answer to a peer, on the command line: `echo`, or `file:` and a file name.
struct AnswerArgument: OptionValue, Equatable {
    static let form =
        "echo, or file:NAME, such as file:answer.bin"
    static var completion: CompletionKind { .list(["echo", "file:"]) }

    var answer: ReceiveRequest.Answer

    init?(argument: String) {
        if argument == "echo" {
            answer = .echo
        } else if argument.hasPrefix("file:"), argument.count > 5 {
            answer = .file(String(argument.dropFirst(5)))
        } else {
            return nil
        }
    }
}

/// A limit on a peer's silence, on the command line: seconds, or `off`.
struct PeerTimeoutArgument: OptionValue, Equatable {
    static let form = "seconds from 2 to 65534, or off"

    var timeout: PeerTimeout

    init(_ timeout: PeerTimeout) {
        self.timeout = timeout
    }

    init?(argument: String) {
        if argument == "off" {
            timeout = .off
        } else {
            guard let seconds = Int(argument), let timeout = PeerTimeout(seconds: seconds) else {
                return nil
            }
            self.timeout = timeout
        }
    }

    var defaultValueDescription: String { timeout.seconds.map { "\($0)" } ?? "off" }
}

/// The option that limits how long a peer may be silent.
struct PeerTimeoutOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Close a connection if the peer has not answered for this long: 2 to 65534, or off.
            """, valueName: "seconds"))
    var peerTimeout = PeerTimeoutArgument(.standard)
}

/// A pattern on the command line, such as `7`.
struct PatternArgument: OptionValue, Equatable {
    static let form =
        "a period from 2 to 256, or hex: and pairs of hexadecimal digits, such as 7 or hex:00ff"

    var pattern: Pattern

    init?(argument: String) {
        guard let pattern = try? Pattern(argument) else { return nil }
        self.pattern = pattern
    }
}

/// Options that every command has.
struct CommonOptions: ParsableArguments {
    @Flag(name: .long, help: "Print the result as JSON.")
    var json = false

    @Flag(name: .shortAndLong, help: "Log each step to standard error.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Print only errors on standard error.")
    var quiet = false

    func validate() throws {
        if verbose && quiet { throw ValidationError("-v and -q cannot be combined.") }
    }
}

import DevmemCore
import DevmemTools

/// The task that a command line of ncdevmem describes. Pure.
enum NcdevmemJob: Equatable {
    /// Try bindings that must succeed and bindings that must fail.
    case selfTest(SelfTest)
    /// Receive one connection.
    case receive(Receive)
    /// Send standard input.
    case send(Send)

    /// The parameters of a selftest.
    struct SelfTest: Equatable {
        var interface: String
        /// The queues to bind; nil for the upper half of all queues.
        var queues: [UInt32]?
        var pageSize: UInt32?
        var memory: UInt64
    }

    /// The parameters of a server.
    struct Receive: Equatable {
        var interface: String
        var listen: EndpointText
        /// The only address that may connect, from the same port number.
        var from: String?
        var queues: QueueChoice
        var steers: Bool
        var pattern: Pattern?
        var isDeviceOnly: Bool
        var pageSize: UInt32?
        var memory: UInt64
    }

    /// The parameters of a client.
    struct Send: Equatable {
        var interface: String
        var peer: EndpointText
        /// The local address, with the server's port number.
        var local: EndpointText?
        var entrySize: UInt64?
        var memory: UInt64
    }

    /// The size of the dma-buf: at least ncdevmem's 16000 pages of 4096 bytes, in whole huge pages.
    private static let memory: UInt64 = 64 << 20

    /// Determines the task.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if an option is missing or contradicts another.
    init(_ options: NcdevmemOptions) throws(DevmemError) {
        guard let interface = options.interface else {
            throw Self.refusal("no interface is named", "give one with -f")
        }
        let queues = try Self.queues(options)
        let pageSize = options.pageSize > 0 ? options.pageSize : nil
        guard options.server != nil || options.client != nil else {
            guard !options.keepsSettings else {
                throw Self.refusal(
                    "the selftest changes settings of \(interface)",
                    "leave -n out, or give an address with -s")
            }
            self = .selfTest(
                SelfTest(
                    interface: interface, queues: queues, pageSize: pageSize, memory: Self.memory))
            return
        }
        guard let server = options.server else {
            throw Self.refusal("no address is named", "give the server's with -s")
        }
        guard let port = options.port else {
            throw Self.refusal("no port is named", "give one with -p")
        }
        let endpoint = try Self.endpoint(server, port)
        if options.listens {
            self = .receive(
                Receive(
                    interface: interface, listen: endpoint, from: options.client,
                    queues: queues.map { .list($0) } ?? .last(1), steers: !options.keepsSettings,
                    pattern: try Self.pattern(ofPeriod: options.period),
                    isDeviceOnly: options.isDeviceOnly, pageSize: pageSize, memory: Self.memory))
        } else {
            var local: EndpointText?
            if let client = options.client { local = try Self.endpoint(client, port) }
            self = .send(
                Send(
                    interface: interface, peer: endpoint, local: local,
                    entrySize: options.entrySize > 0 ? options.entrySize : nil, memory: Self.memory)
            )
        }
    }

    /// Returns the given options that have no effect on the job. A sender's queues are excluded,
    /// because the kernel's test harness gives them.
    static func idle(in options: NcdevmemOptions, for job: NcdevmemJob) -> [Character] {
        guard case .selfTest = job else { return [] }
        let given: [(Character, Bool)] = [
            ("L", options.isDeviceOnly), ("l", options.listens), ("p", options.port != nil),
            ("v", options.period > 0), ("z", options.entrySize > 0),
        ]
        return given.filter(\.1).map(\.0)
    }

    private static func queues(_ options: NcdevmemOptions) throws(DevmemError) -> [UInt32]? {
        switch (options.firstQueue, options.queueCount) {
        case (nil, nil): return nil
        case (let first?, let count?): return Array(first..<first + count)
        default:
            throw refusal("-t and -q go together", "give the first queue and how many")
        }
    }

    private static func endpoint(
        _ host: String, _ port: UInt16
    ) throws(DevmemError) -> EndpointText {
        guard !host.isEmpty else { throw refusal("an address is empty", "see ncdevmem(8)") }
        return try EndpointText(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
    }

    /// ncdevmem counts in a byte, so a period above 256 acts as 256.
    private static func pattern(ofPeriod period: Int) throws(DevmemError) -> Pattern? {
        switch period {
        case 0: nil
        case 2...256: try Pattern("\(period)")
        default: try Pattern("256")
        }
    }

    private static func refusal(_ what: String, _ advice: Advice) -> DevmemError {
        DevmemError(.invalid, call: what, advice: advice)
    }
}

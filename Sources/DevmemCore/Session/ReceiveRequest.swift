/// The number of connections that a session receives.
package struct ReceiveLimits: Equatable, Sendable {
    /// A single connection.
    package static let one = ReceiveLimits(atOnce: 1, continuesListening: false)

    /// The number of simultaneous connections.
    package var atOnce: Int
    /// Whether the session continues when that many have ended.
    package var continuesListening: Bool

    /// Creates limits from their values.
    package init(atOnce: Int, continuesListening: Bool) {
        self.atOnce = atOnce
        self.continuesListening = continuesListening
    }
}

/// The parameters of a receive session.
package struct ReceiveRequest: Sendable {
    /// The NIC; nil to find it from the listening address.
    package var interface: String?
    /// The number of connections.
    package var limits: ReceiveLimits
    /// The addresses to listen on: those of one NIC that a name resolves to, with one port.
    package var listen: [Endpoint]
    /// The addresses that may connect; empty for any.
    package var from: [IPAddress]
    /// The peer port that is steered to the queues; nil for any.
    package var fromPort: UInt16?
    /// Whether the peer may also connect from other ports, which are not steered.
    package var allowsOtherPorts: Bool
    /// The receive queues to bind.
    package var queues: QueueChoice
    /// How connections are spread over the queues.
    package var spread: FlowSpread
    /// Whether to configure the NIC and restore it afterwards; otherwise its settings are neither
    /// changed nor checked.
    package var steers: Bool
    /// Whether to restore steering that the NIC loses during the session.
    package var keepsSteered: Bool
    /// The way in which payload is received.
    package var engine: ReceiveEngineChoice
    /// The size of the dma-buf in bytes.
    package var memory: UInt64
    /// The provider of the dma-buf.
    package var provider: MemoryProvider
    /// The size of the buffers that the NIC fills.
    package var pageSize: PageSizeChoice
    /// The answer to send to the peer.
    package var answer: Answer
    /// The idle timeout of a connection in seconds; nil for none.
    package var idleLimit: Double?
    /// How long the peer's kernel may stay silent.
    package var peerTimeout: PeerTimeout
    /// How long an idle thread polls the NIC before it sleeps, in microseconds; nil for no busy
    /// polling.
    package var busyPoll: UInt32?
    /// The processors that the connections' threads run on.
    package var processors: ProcessorChoice
    /// Whether payload outside device memory fails the connection.
    package var isDeviceOnly: Bool
    /// Whether a steered connection succeeds even if no payload arrived in device memory.
    package var allowsHostMemory: Bool
    /// The command that other processes see as the owner of the steering.
    package var command: String

    /// An answer to the peer, sent from device memory.
    package enum Answer: Equatable, Sendable {
        /// Nothing.
        case nothing
        /// The received payload.
        case echo
        /// The contents of a file.
        case file(String)
    }

    /// Creates a request from its parts.
    package init(
        interface: String?, limits: ReceiveLimits = .one, listen: [Endpoint],
        from: [IPAddress] = [], fromPort: UInt16? = nil,
        allowsOtherPorts: Bool = false, queues: QueueChoice,
        spread: FlowSpread = .roundRobin, steers: Bool = true,
        keepsSteered: Bool = false, engine: ReceiveEngineChoice = .socket,
        memory: UInt64, provider: MemoryProvider = .automatic, pageSize: PageSizeChoice = .onePage,
        answer: Answer = .nothing, idleLimit: Double? = nil, peerTimeout: PeerTimeout = .standard,
        busyPoll: UInt32? = nil, processors: ProcessorChoice = .any, isDeviceOnly: Bool = false,
        allowsHostMemory: Bool = false, command: String
    ) {
        self.interface = interface
        self.limits = limits
        self.listen = listen
        self.from = from
        self.fromPort = fromPort
        self.allowsOtherPorts = allowsOtherPorts
        self.queues = queues
        self.spread = spread
        self.steers = steers
        self.keepsSteered = keepsSteered
        self.engine = engine
        self.memory = memory
        self.provider = provider
        self.pageSize = pageSize
        self.answer = answer
        self.idleLimit = idleLimit
        self.peerTimeout = peerTimeout
        self.busyPoll = busyPoll
        self.processors = processors
        self.isDeviceOnly = isDeviceOnly
        self.allowsHostMemory = allowsHostMemory
        self.command = command
    }

    /// Returns whether a peer may connect.
    func admits(_ peer: Endpoint) -> Bool {
        let address = peer.address.unmapped
        guard from.isEmpty || from.contains(where: { $0.unmapped == address }) else { return false }
        return allowsOtherPorts || fromPort == nil || fromPort == peer.port
    }

    /// Returns the flows from peers to addresses of the same family. Pure.
    ///
    /// - Parameters:
    ///   - endpoints: the destinations.
    ///   - peers: the sources; empty for any.
    ///   - port: the source port; nil for any.
    /// - Returns: a flow for each pair of the same family.
    package static func flows(
        to endpoints: [Endpoint], from peers: [IPAddress], port: UInt16?
    ) -> [SteeringFlow] {
        endpoints.flatMap { endpoint in
            guard !peers.isEmpty else { return [SteeringFlow(to: endpoint, port: port)] }
            return peers.filter { fits($0, endpoint) }.map {
                SteeringFlow(to: endpoint, from: $0, port: port)
            }
        }
    }

    /// Returns whether a peer's address has the same family as an endpoint, if the endpoint is not
    /// a dual-stack wildcard. Pure.
    static func fits(_ peer: IPAddress, _ endpoint: Endpoint) -> Bool {
        let address = endpoint.address.unmapped
        guard !(address.isWildcard && address.isIPv6) else { return true }
        return peer.unmapped.isIPv6 == address.isIPv6
    }
}

/// How many connections a session receives.
package struct ReceiveLimits: Equatable, Sendable {
    /// A single connection.
    package static let one = ReceiveLimits(atOnce: 1, keepsOpen: false)

    /// Connections at once.
    package var atOnce: Int
    /// Whether it goes on when that many have ended; otherwise it receives no more than that.
    package var keepsOpen: Bool

    /// Makes limits from their values.
    package init(atOnce: Int, keepsOpen: Bool) {
        self.atOnce = atOnce
        self.keepsOpen = keepsOpen
    }
}

/// What a receive session shall do.
package struct ReceiveRequest: Sendable {
    /// The NIC; nil to find it by the address listened on.
    package var interface: String?
    /// How many connections.
    package var limits: ReceiveLimits
    /// Where to listen: the addresses of one NIC that a name stands for, at one port.
    package var listen: [Endpoint]
    /// The only addresses that may connect; none for any.
    package var from: [IPAddress]
    /// The only port of the peer's that is steered to the queues; nil for any.
    package var fromPort: UInt16?
    /// Whether the peer may connect from other ports all the same, and is not steered then.
    package var admitsOtherPorts: Bool
    /// Receive queues to bind.
    package var queues: QueueChoice
    /// Whether the NIC is set up for it, and put back. Otherwise its settings are neither changed
    /// nor looked at.
    package var steers: Bool
    /// Whether steering that the NIC loses meanwhile is set again.
    package var keepsSteered: Bool
    /// Size of the dma-buf in bytes.
    package var memory: UInt64
    /// What makes the dma-buf.
    package var provider: MemoryProvider
    /// Bytes of the pieces that the NIC fills; nil for one page. Larger ones take huge pages.
    package var pageSize: UInt32?
    /// What the peer gets back.
    package var answer: Answer
    /// Seconds without payload after which a connection is given up; nil for any time.
    package var idleLimit: Double?
    /// When a connection is given up whose peer does not even answer the kernel.
    package var peerTimeout: PeerTimeout
    /// Whether payload that is not in device memory ends the connection as a failure.
    package var isDeviceOnly: Bool
    /// Whether it is no failure if the NIC was steered and yet no payload came in device memory.
    package var allowsHostMemory: Bool
    /// What others are told of this process while it steers the NIC.
    package var command: String

    /// What a peer gets back, from device memory.
    package enum Answer: Equatable, Sendable {
        /// Nothing.
        case nothing
        /// What it sent.
        case echo
        /// A file.
        case file(String)
    }

    /// Makes a request from its parts.
    package init(
        interface: String?, limits: ReceiveLimits = .one, listen: [Endpoint],
        from: [IPAddress] = [], fromPort: UInt16? = nil,
        admitsOtherPorts: Bool = false, queues: QueueChoice, steers: Bool = true,
        keepsSteered: Bool = false,
        memory: UInt64, provider: MemoryProvider = .automatic, pageSize: UInt32? = nil,
        answer: Answer = .nothing, idleLimit: Double? = nil, peerTimeout: PeerTimeout = .standard,
        isDeviceOnly: Bool = false,
        allowsHostMemory: Bool = false, command: String = "devmemtcp serve"
    ) {
        self.interface = interface
        self.limits = limits
        self.listen = listen
        self.from = from
        self.fromPort = fromPort
        self.admitsOtherPorts = admitsOtherPorts
        self.queues = queues
        self.steers = steers
        self.keepsSteered = keepsSteered
        self.memory = memory
        self.provider = provider
        self.pageSize = pageSize
        self.answer = answer
        self.idleLimit = idleLimit
        self.peerTimeout = peerTimeout
        self.isDeviceOnly = isDeviceOnly
        self.allowsHostMemory = allowsHostMemory
        self.command = command
    }

    /// Whether a peer may connect.
    func admits(_ peer: Endpoint) -> Bool {
        let address = peer.address.unmapped
        guard from.isEmpty || from.contains(where: { $0.unmapped == address }) else { return false }
        return admitsOtherPorts || fromPort == nil || fromPort == peer.port
    }

    /// The flows from peers to addresses, as far as their families fit. Pure.
    ///
    /// - Parameters:
    ///   - endpoints: where they go to.
    ///   - peers: the only addresses that they come from; none for any.
    ///   - port: the only port that they come from; nil for any.
    /// - Returns: a flow for each two that fit.
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

    /// Whether a peer can come to an address. Pure.
    static func fits(_ peer: IPAddress, _ endpoint: Endpoint) -> Bool {
        let address = endpoint.address.unmapped
        guard !(address.isWildcard && address.isIPv6) else { return true }
        return peer.unmapped.isIPv6 == address.isIPv6
    }
}

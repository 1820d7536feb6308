import DevmemCore
import Glibc
import Logging
import SystemPackage

/// The fixture of cases that receive: a steered NIC, bound memory and listening sockets.
final class ReceiveFixture {
    /// The properties of a fixture; cases with equal properties share one.
    struct Kind: Hashable {
        /// The number of queues to bind.
        var queues = 1
        /// The number of further queues that are kept free of traffic but not bound.
        var unboundQueues = 0
        /// The size of the receive buffers in bytes; nil for a page.
        var pageSize: UInt32?
        /// How flows are spread over the queues.
        var spread = FlowSpread.roundRobin
        /// The number of listening sockets per address; with none, no flow is steered.
        var listeners = 1
        /// How to receive.
        var engine = ReceiveEngineChoice.socket
        /// The most bytes of unread payload in a connection's ring of io_uring; nil for no limit.
        var share: UInt64?
        /// The most bytes that a connection's receive buffer may hold; nil for the system's limit. If it
        /// holds all that the rings leave, the NIC drops packets, and a slow reader waits for TCP to
        /// send them again, later each time.
        var unread: UInt64?
        /// Bytes of memory per bound queue. mlx5 fills its receive ring with as much at MTU 9000
        /// and the default ring size, and a queue with less memory starves.
        var memory: UInt64 = 16 << 20
    }

    /// A listening socket as an element of an array, which cannot hold a noncopyable value.
    private final class OpenListener {
        let listener: Listener

        init(_ listener: consuming Listener) {
            self.listener = listener
        }
    }

    let kind: Kind
    /// The bound queues.
    let queues: [UInt32]
    /// The steered queues that are not bound.
    let unboundQueues: [UInt32]
    let bound: BoundMemory
    private var nic: BoundNIC?
    private var listeners: [OpenListener]

    /// Steers the NIC and binds memory.
    ///
    /// - Parameters:
    ///   - kind: the properties.
    ///   - interface: the NIC.
    ///   - provider: where the memory comes from.
    ///   - addresses: the addresses to listen on.
    ///   - echo: the endpoint of an echo server, whose answers are steered too.
    ///   - logger: logs each change at level debug.
    /// - Throws: `DevmemError` if steering, the memory or the binding fails.
    init(
        _ kind: Kind, on interface: NetworkInterface, from provider: MemoryProvider,
        at addresses: [IPAddress], answeredFrom echo: Endpoint?, logger: Logger
    ) throws(DevmemError) {
        var listeners: [OpenListener] = []
        for address in addresses {
            for _ in 0..<kind.listeners {
                let listener = try Listener(binding: Endpoint(address: address, port: 0))
                if let unread = kind.unread { _ = try listener.limitBuffers(to: unread) }
                try listener.listen()
                listeners.append(OpenListener(listener))
            }
        }
        var flows = listeners.map { SteeringFlow(to: $0.listener.endpoint) }
        if let echo, kind.listeners > 0 {
            var rule = FlowRule(isIPv6: echo.address.isIPv6)
            rule.source = echo.address.bytes
            rule.sourcePort = echo.port
            flows.append(SteeringFlow(families: [[rule]]))
        }
        let steering = SteeringRequest(
            queues: .automatic(kind.queues + kind.unboundQueues), flows: flows, spread: kind.spread)
        var request = BindRequest(
            queues: .steered(steering), unboundQueues: kind.unboundQueues,
            pageSize: kind.pageSize, command: "devmemtcp validate")
        request.engine = kind.engine
        let nic = try BoundNIC.allocating(
            kind.memory * UInt64(kind.queues), from: provider, on: interface, request,
            logger: logger)
        guard nic.queues.count == kind.queues && nic.unboundQueues.count == kind.unboundQueues
        else {
            throw DevmemError(
                .invalid, call: "choose queues of \(interface.name)",
                message: "\(kind.queues + kind.unboundQueues) are needed, but it is steered to "
                    + queueList(nic.queues + nic.unboundQueues))
        }
        self.kind = kind
        queues = nic.queues
        unboundQueues = nic.unboundQueues
        bound = nic.memory
        self.nic = consume nic
        self.listeners = listeners
    }

    /// The first bound queue.
    var queue: UInt32 {
        get throws(DevmemError) { try Self.first(of: queues, "bound") }
    }

    /// The first steered queue that is not bound.
    var unboundQueue: UInt32 {
        get throws(DevmemError) { try Self.first(of: unboundQueues, "unbound") }
    }

    private static func first(of queues: [UInt32], _ what: String) throws(DevmemError) -> UInt32 {
        guard let queue = queues.first else {
            throw DevmemError(
                .invalid, call: "choose a queue", message: "there is no \(what) one")
        }
        return queue
    }

    /// Unbinds the queues; payload that connections hold stays valid.
    func unbind() {
        nic?.unbind()
    }

    /// Releases everything and restores the NIC.
    func release() throws(DevmemError) {
        listeners = []
        switch nic.take() {
        case .some(let bound): try bound.release()
        case .none: break
        }
    }

    /// The endpoint of a listening socket.
    func endpoint(ipv6: Bool, number: Int = 0) throws(DevmemError) -> Endpoint {
        try listener(ipv6, number).listener.endpoint
    }

    /// Accepts the next connection from the remote side; connections from other hosts are closed.
    ///
    /// - Throws: `DevmemError` of kind `system` if none arrives in time.
    func accept(
        ipv6: Bool, number: Int = 0, for run: ValidationRun
    ) throws(DevmemError) -> Connection {
        let peer = run.peers.remote(ipv6: ipv6)
        let open = try listener(ipv6, number)
        let endpoint = open.listener.endpoint
        let deadline = Deadline.after(.milliseconds(Int(caseTimeout)))
        while true {
            let connection = try run.stop.accept(
                on: open.listener, until: deadline, "wait for a connection at \(endpoint)")
            if connection.peer.address.unmapped == peer { return connection }
        }
    }

    private func listener(_ ipv6: Bool, _ number: Int) throws(DevmemError) -> OpenListener {
        let ones = listeners.filter { $0.listener.endpoint.address.isIPv6 == ipv6 }
        guard ones.indices.contains(number) else {
            throw DevmemError(
                .invalid, call: "listen", message: "no IPv\(ipv6 ? 6 : 4) address")
        }
        return ones[number]
    }
}

/// The timeout of a case without progress, in milliseconds.
let caseTimeout: Int32 = 5000

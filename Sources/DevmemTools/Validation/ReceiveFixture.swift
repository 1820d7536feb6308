import DevmemCore
import Glibc
import Logging
import SystemPackage

/// What cases that receive have in common: a NIC steered, memory bound, sockets that listen.
final class ReceiveFixture {
    /// What a stage is made of; cases that ask for the same share one.
    struct Kind: Hashable {
        /// Queues to bind.
        var queues = 1
        /// Further queues that are kept free of traffic and not bound.
        var spareQueues = 0
        /// Bytes of the pieces that the NIC fills; nil for a page.
        var pageSize: UInt32?
        /// How flows are spread over the queues.
        var spread = FlowSpread.roundRobin
        /// How many sockets listen at each address; none steers no flow.
        var listeners = 1
        /// Bytes of memory for each bound queue. mlx5 fills its receive ring with as much, at MTU 9000
        /// and its default size, and a queue that gets less than it needs starves.
        var memory: UInt64 = 16 << 20
    }

    /// A socket that listens, and what it stands at.
    private final class OpenListener {
        let listener: Listener

        init(_ listener: consuming Listener) {
            self.listener = listener
        }
    }

    let kind: Kind
    /// The bound queues.
    let queues: [UInt32]
    /// Those that are kept free.
    let spares: [UInt32]
    let bound: BoundMemory
    private var nic: BoundNIC?
    private var listeners: [OpenListener]

    /// Steers the NIC and binds memory.
    ///
    /// - Parameters:
    ///   - kind: what is wanted.
    ///   - interface: the NIC.
    ///   - addresses: where to listen.
    ///   - echo: an address and port that connections go to, for their answers to be steered.
    ///   - logger: is told of each change at level debug.
    /// - Throws: `DevmemError` as steering, memory or the binding fail.
    init(
        _ kind: Kind, on interface: NetworkInterface, at addresses: [IPAddress],
        answeredFrom echo: Endpoint?, logger: Logger
    ) throws(DevmemError) {
        let memory = try DmabufMemory(
            size: kind.memory * UInt64(kind.queues), pageSize: kind.pageSize)
        var listeners: [OpenListener] = []
        for address in addresses {
            for _ in 0..<kind.listeners {
                let listener = try Listener(binding: Endpoint(address: address, port: 0))
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
        let wanted = QueueChoice.automatic(kind.queues + kind.spareQueues)
        let nic = try BoundNIC(
            binding: memory, to: interface,
            BindRequest(
                queues: wanted, spareQueues: kind.spareQueues, pageSize: kind.pageSize,
                steering: SteeringRequest(queues: wanted, flows: flows, spread: kind.spread),
                command: "devmemtcp validate"),
            logger: logger)
        guard nic.queues.count == kind.queues && nic.spares.count == kind.spareQueues else {
            throw DevmemError(
                .invalid, call: "take queues of \(interface.name)",
                message: "\(kind.queues + kind.spareQueues) are needed, and it is steered to "
                    + queueList(nic.queues + nic.spares))
        }
        self.kind = kind
        queues = nic.queues
        spares = nic.spares
        bound = nic.memory
        self.nic = consume nic
        self.listeners = listeners
    }

    /// The first bound queue.
    var queue: UInt32 {
        get throws(DevmemError) { try Self.first(of: queues, "bound") }
    }

    /// The first of those that are kept free.
    var spare: UInt32 {
        get throws(DevmemError) { try Self.first(of: spares, "spare") }
    }

    private static func first(of queues: [UInt32], _ what: String) throws(DevmemError) -> UInt32 {
        guard let queue = queues.first else {
            throw DevmemError(
                .invalid, call: "choose a queue", message: "the stage has no \(what) one")
        }
        return queue
    }

    /// Lets the queues go; connections keep what they have.
    func unbind() {
        nic?.unbind()
    }

    /// Undoes everything.
    func release() throws(DevmemError) {
        listeners = []
        switch nic.take() {
        case .some(let bound): try bound.release()
        case .none: break
        }
    }

    /// Where it listens.
    func endpoint(ipv6: Bool, number: Int = 0) throws(DevmemError) -> Endpoint {
        try listener(ipv6, number).listener.endpoint
    }

    /// Takes the far end's next connection; a stranger's is closed.
    ///
    /// - Throws: `DevmemError` of kind `system` if none comes in time.
    func accept(
        ipv6: Bool, number: Int = 0, for run: ValidationRun
    ) throws(DevmemError) -> Connection {
        let peer = run.peers.remote(ipv6: ipv6)
        let open = try listener(ipv6, number)
        let endpoint = open.listener.endpoint
        let deadline = Deadline.after(.milliseconds(Int(casePatience)))
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
                .invalid, call: "listen", message: "no address of IPv\(ipv6 ? 6 : 4)")
        }
        return ones[number]
    }
}

/// How long nothing may happen in a case, in milliseconds.
let casePatience: Int32 = 5000

import Glibc
package import Logging

/// What a receive session shall do.
package struct ReceiveRequest: Sendable {
    /// The NIC; nil to find it by the address listened on.
    package var interface: String?
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
        interface: String?, listen: [Endpoint], from: [IPAddress] = [], fromPort: UInt16? = nil,
        admitsOtherPorts: Bool = false, queues: QueueChoice, steers: Bool = true,
        keepsSteered: Bool = false,
        memory: UInt64, provider: MemoryProvider = .automatic, pageSize: UInt32? = nil,
        answer: Answer = .nothing, idleLimit: Double? = nil, peerTimeout: PeerTimeout = .standard,
        isDeviceOnly: Bool = false,
        allowsHostMemory: Bool = false, command: String = "devmemtcp serve"
    ) {
        self.interface = interface
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

/// Tells a caller of `receive` how it goes, so that it can show it.
package struct ReceiveObserver {
    /// Called once it listens, with each address and the NIC's name.
    package var listening: (Endpoint, String) -> Void
    /// Called for the connection that is received from.
    package var connected: (Endpoint) -> Void
    /// Called after each receive call, with the payload bytes so far; must be quick.
    package var progress: (UInt64) -> Void

    /// Makes an observer from its parts.
    package init(
        listening: @escaping (Endpoint, String) -> Void, connected: @escaping (Endpoint) -> Void,
        progress: @escaping (UInt64) -> Void
    ) {
        self.listening = listening
        self.connected = connected
        self.progress = progress
    }
}

/// Receives one TCP connection into device memory, from the NIC's set-up to its restoration.
///
/// - Parameters:
///   - request: what to do.
///   - consumer: what to do with payload.
///   - stop: signals that end the session in good order.
///   - observer: is told how it goes.
///   - logger: is told of each change of the NIC at level debug.
/// - Returns: what was received, also if a signal or a failure cut it short; `failure` tells.
/// - Throws: `DevmemError` if it could not begin; whatever was changed on the NIC is reversed
///   first.
package func receive(
    _ request: ReceiveRequest, consumer: inout PayloadConsumer, stop: borrowing StopSignal,
    observer: ReceiveObserver, logger: Logger
) throws(DevmemError) -> ReceiveReport {
    do throws(DevmemError) {
        let place = try ReceivePlace(
            request, limits: ReceiveLimits(atOnce: 1, keepsOpen: false), logger: logger)
        let nic = try place.bind(request, logger: logger)
        var report = place.report(on: nic)
        var refusal: DevmemError?
        do throws(DevmemError) {
            try receiveBound(
                request, place, nic, &consumer, stop, observer, logger, &report)
        } catch {
            refusal = error
        }
        nic.release(
            reportingIn: &report.failure,
            isShown: refusal == nil && report.stoppedBy == nil)
        if let refusal { throw refusal }
        // It may take long, and no signal ends it; the NIC need not wait.
        store(&consumer, failure: &report.failure)
        return report
    } catch {
        consumer.abandon()
        throw error
    }
}

/// The part of a session in which the dma-buf is bound. Failures of the connection are put in the
/// report; failures before it are thrown.
private func receiveBound(
    _ request: ReceiveRequest, _ place: ReceivePlace, _ nic: borrowing BoundNIC,
    _ consumer: inout PayloadConsumer, _ stop: borrowing StopSignal,
    _ observer: ReceiveObserver, _ logger: Logger, _ report: inout ReceiveReport
) throws(DevmemError) {
    let budget = place.budget(of: nic, logger: logger)
    try place.listen(budget, observer.listening)

    let connection: Connection
    switch try awaitPeer(request, place.listeners, nic, stop, logger) {
    case .stopped(let signal):
        report.stoppedBy = signal
        consumer.abandon()
        return
    case .connected(let accepted): connection = accepted
    }
    // Whoever else waits would hold memory that nobody takes payload out of.
    place.listeners.stopListening()
    if let shortfall = try place.prepare(connection, request, budget)?.shortfall {
        logger.notice("\(shortfall)")
    }
    observer.connected(connection.peer)
    try consumer.begin()
    let cause = nic.stopCause
    runConnection(
        with: connection, request, nic.interface, nic.memory, &consumer,
        try StopSignal(following: stop, or: cause), progress: observer.progress, &report)
    if let failure = cause.failure {
        report.stoppedBy = nil
        report.failure = failure.description
    }
    let isFailure = request.steers && !request.allowsHostMemory
    // After a signal nobody shows the report's failure.
    nic.judge(&report, isFailure: isFailure && report.stoppedBy == nil, logger: logger)
    if isFailure { report.failure = report.failure ?? report.placement?.failure }
}

private enum Arrival: ~Copyable {
    case connected(Connection)
    case stopped(by: Int32)
}

/// Waits for a connection from the peer; connections from elsewhere are closed.
private func awaitPeer(
    _ request: ReceiveRequest, _ listeners: ListenerGroup, _ nic: borrowing BoundNIC,
    _ stop: borrowing StopSignal, _ logger: Logger
) throws(DevmemError) -> Arrival {
    var shortage = ShortageNotice(logger)
    while true {
        switch try stop.wait(reading: listeners.rawValue, or: nic.watchDescriptor) {
        case .signal(let arrival): return .stopped(by: arrival.signal)
        case .first: break
        case .second:
            try nic.look()
            continue
        }
        let arrived = try listeners.accept(
            endingWhenSilent: request.peerTimeout, short: { shortage.tell($0) },
            lost: { logger.warning("\($0)") })
        guard let connection = arrived else { continue }
        guard request.admits(connection.peer) else { continue }
        return .connected(connection)
    }
}

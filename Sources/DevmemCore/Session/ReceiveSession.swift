import Glibc
public import Logging

/// What a receive session shall do.
public struct ReceiveRequest: Sendable {
    /// The NIC; nil to find it by the address listened on.
    public var interface: String?
    /// Where to listen.
    public var listen: Endpoint
    /// The only address that may connect; nil for any.
    public var from: IPAddress?
    /// Receive queues to bind.
    public var queues: QueueChoice
    /// Size of the dma-buf in bytes.
    public var memory: UInt64
    /// What makes the dma-buf.
    public var provider: MemoryProvider
    /// What the peer gets back.
    public var answer: Answer
    /// Seconds without payload after which a connection is given up; nil for any time.
    public var idleLimit: Double?

    /// What a peer gets back, from device memory.
    public enum Answer: Equatable, Sendable {
        /// Nothing.
        case nothing
        /// What it sent.
        case echo
        /// A file.
        case file(String)
    }

    /// Makes a request from its parts.
    public init(
        interface: String?, listen: Endpoint, from: IPAddress?, queues: QueueChoice,
        memory: UInt64, provider: MemoryProvider = .udmabuf, answer: Answer = .nothing,
        idleLimit: Double? = nil
    ) {
        self.interface = interface
        self.listen = listen
        self.from = from
        self.queues = queues
        self.memory = memory
        self.provider = provider
        self.answer = answer
        self.idleLimit = idleLimit
    }
}

/// Tells a caller of `receive` how it goes, so that it can show it.
public struct ReceiveObserver {
    /// Called once it listens, with the address and the NIC's name.
    public var listening: (Endpoint, String) -> Void
    /// Called for the connection that is received from.
    public var connected: (Endpoint) -> Void
    /// Called after each receive call, with the payload bytes so far; must be quick.
    public var progress: (UInt64) -> Void

    /// Makes an observer from its parts.
    public init(
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
public func receive(
    _ request: ReceiveRequest, consumer: inout PayloadConsumer, stop: borrowing StopSignal,
    observer: ReceiveObserver, logger: Logger
) throws(DevmemError) -> ReceiveReport {
    do throws(DevmemError) {
        let place = try ReceivePlace(request, logger: logger)
        let memory = try DmabufMemory(size: request.memory, provider: request.provider)
        var steering = try place.steer(request, logger: logger)
        var report = place.report(queues: steering.queues, memory: memory.size)
        var refusal: DevmemError?
        do throws(DevmemError) {
            try receiveBound(
                request, place, steering.queues, memory, &consumer, stop, observer, &report)
        } catch {
            refusal = error
        }
        // The binding is gone by now, so the kernel lets header split be turned off.
        do throws(DevmemError) {
            try steering.restore()
        } catch {
            report.failure = report.failure ?? error.description
        }
        if let refusal { throw refusal }
        return report
    } catch {
        consumer.abandon()
        throw error
    }
}

/// The part of a session in which the dma-buf is bound. Failures of the connection are put in the
/// report; failures before it are thrown.
private func receiveBound(
    _ request: ReceiveRequest, _ place: borrowing ReceivePlace, _ queues: [UInt32],
    _ memory: consuming DmabufMemory, _ consumer: inout PayloadConsumer,
    _ stop: borrowing StopSignal,
    _ observer: ReceiveObserver, _ report: inout ReceiveReport
) throws(DevmemError) {
    let binding = try ReceiveBinding(
        dmabuf: memory.descriptor, interface: place.interface, queues: queues)
    let bound = BoundReceiveMemory(memory, id: binding.id)
    try place.listener.listen()
    observer.listening(place.listener.endpoint, place.interface.name)

    let connection: Connection
    switch try awaitPeer(request.from, place.listener, stop) {
    case .stopped(let signal):
        report.stoppedBy = signal
        consumer.abandon()
        return
    case .connected(let accepted): connection = accepted
    }
    observer.connected(connection.peer)
    try consumer.begin()
    converse(
        with: connection, request, place.interface, bound, &consumer, stop,
        progress: observer.progress, &report)
}

private enum Arrival: ~Copyable {
    case connected(Connection)
    case stopped(by: Int32)
}

/// Waits for a connection from the peer; connections from elsewhere are closed.
private func awaitPeer(
    _ wanted: IPAddress?, _ listener: borrowing Listener, _ stop: borrowing StopSignal
) throws(DevmemError) -> Arrival {
    while true {
        let wait = try stop.wait(for: listener.rawValue, events: Int32(POLLIN))
        if case .stopped(let signal) = wait { return .stopped(by: signal) }
        guard let connection = try listener.accept() else { continue }
        if let wanted, connection.peer.address.unmapped != wanted.unmapped { continue }
        return .connected(connection)
    }
}

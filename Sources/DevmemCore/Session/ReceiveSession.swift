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

    /// Makes a request from its parts.
    public init(
        interface: String?, listen: Endpoint, from: IPAddress?, queues: QueueChoice,
        memory: UInt64
    ) {
        self.interface = interface
        self.listen = listen
        self.from = from
        self.queues = queues
        self.memory = memory
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
        try checkFamilies(request)
        let interface = try chooseInterface(request)
        let listener = try Listener(binding: request.listen)
        let wish = SteeringWish(
            queues: request.queues,
            flows: [SteeringFlow(to: listener.endpoint, from: request.from)])
        let memory = try Udmabuf(size: request.memory)

        var steering = try SteeringTransaction(
            applying: wish, to: interface, as: "devmemtcp serve", logger: logger)
        for note in steering.notes { logger.notice("\(interface.name): \(note)") }
        var report = ReceiveReport(
            interface: interface.name, driver: interface.driver, queues: steering.queues,
            dmabufBytes: memory.size, listen: listener.endpoint.description)
        var refusal: DevmemError?
        do throws(DevmemError) {
            try receiveBound(
                request, steering.queues, interface, memory, listener, &consumer, stop, observer,
                &report)
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

private func checkFamilies(_ request: ReceiveRequest) throws(DevmemError) {
    guard let from = request.from, !request.listen.address.isWildcard,
        from.unmapped.isIPv6 != request.listen.address.unmapped.isIPv6
    else { return }
    throw DevmemError(
        .invalid, call: "receive from \(from) at \(request.listen)",
        message: "one address is IPv4, the other IPv6")
}

private func chooseInterface(_ request: ReceiveRequest) throws(DevmemError) -> NetworkInterface {
    if let name = request.interface { return try NetworkInterface(named: name) }
    if request.listen.scope != 0 {
        return try NetworkInterface(named: interfaceName(request.listen.scope))
    }
    guard !request.listen.address.isWildcard else {
        throw DevmemError(
            .invalid, call: "choose an interface", message: "the address is not of one interface",
            advice: "name it with --interface")
    }
    return try NetworkInterface(holding: request.listen.address.unmapped)
}

/// The part of a session in which the dma-buf is bound. Failures of the connection are put in the
/// report; failures before it are thrown.
private func receiveBound(
    _ request: ReceiveRequest, _ queues: [UInt32], _ interface: NetworkInterface,
    _ memory: borrowing Udmabuf, _ listener: borrowing Listener,
    _ consumer: inout PayloadConsumer, _ stop: borrowing StopSignal, _ observer: ReceiveObserver,
    _ report: inout ReceiveReport
) throws(DevmemError) {
    let binding = try ReceiveBinding(
        dmabuf: memory.descriptor, interface: interface, queues: queues)
    try listener.listen()
    observer.listening(listener.endpoint, interface.name)

    let connection: Connection
    switch try awaitPeer(request.from, listener, stop) {
    case .stopped(let signal):
        report.stoppedBy = signal
        consumer.abandon()
        return
    case .connected(let accepted): connection = accepted
    }
    report.peer = connection.peer.description
    observer.connected(connection.peer)
    try consumer.begin()

    let begun = ContinuousClock.now
    let cpuBefore = processorTime()
    var receiver = PayloadReceiver(dmabufID: binding.id)
    do throws(DevmemError) {
        let end = try receiver.run(
            connection, memory: memory, consumer: &consumer, stop: stop,
            progress: observer.progress)
        if case .stopped(let signal) = end { report.stoppedBy = signal }
    } catch {
        report.failure = error.description
    }
    let cpuAfter = processorTime()
    report.seconds = (ContinuousClock.now - begun) / .seconds(1)
    report.userSeconds = cpuAfter.user - cpuBefore.user
    report.systemSeconds = cpuAfter.system - cpuBefore.system
    report.counts = receiver.counts
    report.validation = consumer.validation
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

/// Processor time of this process in seconds.
func processorTime() -> (user: Double, system: Double) {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

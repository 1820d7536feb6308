import Glibc
package import Logging
import SystemPackage

/// The parameters of a transmit session.
package struct TransmitRequest: Sendable {
    /// The NIC; nil to find it from the route to the peer.
    package var interface: String?
    /// The peer's addresses; the session uses the first that answers.
    package var peers: [Endpoint]
    /// The source addresses, of which one of the peer's family is used; empty to let the kernel
    /// choose.
    package var local: [Endpoint]
    /// The size of the dma-buf in bytes.
    package var memory: UInt64
    /// The provider of the dma-buf.
    package var provider: MemoryProvider
    /// The most bytes that one send handles.
    package var chunk: UInt64
    /// The most bytes in one iovec entry, so that a send has several; nil for no limit.
    package var entrySize: UInt64?
    /// Whether to send ordinary memory.
    package var usesHostMemory: Bool
    /// Whether to bind the connection to the NIC regardless of the routes.
    package var isPinned: Bool
    /// How long in seconds the peer may take to close its direction once it has acknowledged all
    /// data; nil for no limit.
    package var wait: Double?
    /// How long the peer's kernel may stay silent.
    package var peerTimeout: PeerTimeout
    /// How long the idle thread polls the NIC before it sleeps, in microseconds; nil for no busy
    /// polling.
    package var busyPoll: UInt32?
    /// The processors that the thread runs on.
    package var processors: ProcessorChoice

    /// Creates a request from its parts.
    package init(
        interface: String?, peers: [Endpoint], local: [Endpoint] = [], memory: UInt64,
        provider: MemoryProvider = .automatic, chunk: UInt64, entrySize: UInt64? = nil,
        usesHostMemory: Bool, isPinned: Bool, wait: Double?,
        peerTimeout: PeerTimeout = .standard, busyPoll: UInt32? = nil,
        processors: ProcessorChoice = .any
    ) {
        self.interface = interface
        self.peers = peers
        self.local = local
        self.memory = memory
        self.provider = provider
        self.chunk = chunk
        self.entrySize = entrySize
        self.usesHostMemory = usesHostMemory
        self.isPinned = isPinned
        self.wait = wait
        self.peerTimeout = peerTimeout
        self.busyPoll = busyPoll
        self.processors = processors
    }

    /// Returns the source address for a peer; nil to let the kernel choose.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if no address has the peer's family.
    func local(for peer: Endpoint) throws(DevmemError) -> Endpoint? {
        guard let first = local.first else { return nil }
        guard let same = local.first(where: { $0.address.isIPv6 == peer.address.isIPv6 }) else {
            throw DevmemError(
                .invalid, call: "connect to \(peer) from \(first.address)",
                message: "one address is IPv4, the other IPv6")
        }
        return same
    }
}

/// Callbacks for the progress of `send`.
package struct TransmitObserver {
    /// Called once connected, with the local address and the NIC's name.
    package var connected: (Endpoint, String?) -> Void
    /// Called once when all is set up, before the first payload moves; an error ends the session.
    package var prepared: () throws(DevmemError) -> Void
    /// Called after each round of sends with the payload bytes so far; it must return quickly.
    package var progress: (UInt64) -> Void

    /// Creates an observer from its parts.
    package init(
        connected: @escaping (Endpoint, String?) -> Void,
        prepared: @escaping () throws(DevmemError) -> Void = {},
        progress: @escaping (UInt64) -> Void = { _ in }
    ) {
        self.connected = connected
        self.prepared = prepared
        self.progress = progress
    }
}

/// Sends a stream from device memory on one TCP connection, and receives the peer's payload.
///
/// - Parameters:
///   - request: the parameters of the session.
///   - source: the payload to send.
///   - sink: the sink for received payload.
///   - stop: the signals that end the session.
///   - observer: called as the session progresses.
///   - logger: logs a failure that the report does not show at level error.
/// - Returns: the report; its `failure` is set if the connection failed.
/// - Throws: `DevmemError` if the session cannot start.
package func send<Source: PayloadSource & ~Copyable, Sink: SessionSink & ~Copyable>(
    _ request: TransmitRequest, from source: consuming Source, into sink: inout Sink,
    until stop: borrowing StopSignal, observer: TransmitObserver, logger: Logger = .silent
) throws(DevmemError) -> TransmitReport {
    var report: TransmitReport
    do throws(DevmemError) {
        report = try transmit(request, source, &sink, stop, observer)
    } catch {
        sink.abandon()
        throw error
    }
    // Storing may take long and no signal ends it, but nothing is bound any more.
    do throws(DevmemError) {
        try sink.store()
    } catch {
        noteStoreFailure(
            error.description, in: &report.failure, isShown: report.stoppedBy == nil,
            logger: logger)
    }
    return report
}

/// Runs the session except for storing the received payload.
private func transmit<Source: PayloadSource & ~Copyable, Sink: SessionSink & ~Copyable>(
    _ request: TransmitRequest, _ source: consuming Source, _ sink: inout Sink,
    _ stop: borrowing StopSignal, _ observer: TransmitObserver
) throws(DevmemError) -> TransmitReport {
    // Report local mistakes before connecting to the peer.
    if let name = request.interface {
        let interface = try NetworkInterface(named: name)
        if !request.usesHostMemory { try interface.requireNIC("send through") }
    }
    try BusyPoller.check(microseconds: request.busyPoll)
    // The memory comes before the connection, whose NIC is that of the first peer but in odd cases.
    let placement = try ThreadPlacement(
        request.processors,
        near: request.peers.first.flatMap { try? chooseInterface(request, leadingTo: $0) })
    defer { placement.restore() }
    try placement.place(thread: 0)
    let buffer = try makeBuffer(request)
    var signal: Int32?
    guard let connection = try connect(request, stop, &signal) else {
        sink.abandon()
        var report = TransmitReport(
            interface: nil, driver: nil, memoryBytes: request.memory,
            peer: request.peers.first?.description ?? "")
        report.stoppedBy = signal
        return report
    }
    let interface = try chooseInterface(request, leadingTo: connection.peer)
    try checkRoute(connection, interface, request)
    let memory = try bind(buffer, request, interface)
    var report = TransmitReport(
        interface: request.usesHostMemory ? nil : interface?.name,
        driver: request.usesHostMemory ? nil : interface?.driver,
        memoryBytes: UInt64(memory.size), peer: connection.peer.description)
    report.local = connection.local?.description
    report.busyPoll = request.busyPoll
    report.processors = placement.list(ofThread: 0)
    report.processorsReason = placement.reason
    var exchange = try Exchange(
        sending: source, from: memory, receiving: PayloadReceiver(nil),
        chunk: Int(clamping: request.chunk), entrySize: request.entrySize.map { Int(clamping: $0) })
    observer.connected(connection.local ?? connection.peer, interface?.name)
    try sink.begin()
    try observer.prepared()
    let spent = TimeUsage()
    do throws(DevmemError) {
        let wait = request.wait.map { Int32(clamping: Int(($0 * 1000).rounded())) } ?? -1
        let end = try exchange.run(
            connection, into: &sink, until: stop,
            limits: StreamLimits(closing: wait, busyPoll: request.busyPoll),
            progress: observer.progress)
        if case .stopped(let signal) = end { report.stoppedBy = signal }
    } catch {
        report.failure = error.description
    }
    (report.seconds, report.userSeconds, report.systemSeconds) = spent.soFar
    report.counts = exchange.counts
    report.isNAPIThreaded = connection.incomingNAPI.flatMap { napiInstance($0)?.isThreaded }
    report.peerClosed = exchange.peerClosed
    report.validation = sink.findings.validation
    return report
}

/// Connects to the first peer that answers; nil if a signal arrived first.
private func connect(
    _ request: TransmitRequest, _ stop: borrowing StopSignal, _ signal: inout Int32?
) throws(DevmemError) -> Connection? {
    var refusal = DevmemError(.invalid, call: "connect", message: "no peer is named")
    for peer in request.peers {
        do throws(DevmemError) {
            let connection = try Connection(
                to: peer, from: try request.local(for: peer),
                pinnedTo: request.isPinned ? try chooseInterface(request, leadingTo: peer) : nil)
            if case .stopped(let arrived) = try stop.wait(
                for: connection.rawValue, events: Int32(POLLOUT))
            {
                signal = arrived
                return nil
            }
            try connection.finishConnecting(endingWhenSilent: request.peerTimeout)
            return connection
        } catch {
            refusal = error
        }
    }
    throw refusal
}

private func chooseInterface(
    _ request: TransmitRequest, leadingTo peer: Endpoint
) throws(DevmemError) -> NetworkInterface? {
    if let name = request.interface { return try NetworkInterface(named: name) }
    if request.usesHostMemory && !request.isPinned { return nil }
    if peer.scope != 0 { return try NetworkInterface(named: interfaceName(peer.scope)) }
    return try NetworkInterface(leadingTo: peer, from: try request.local(for: peer)?.address)
}

/// Creates the dma-buf to send from; nil if ordinary memory is sent.
private func makeBuffer(_ request: TransmitRequest) throws(DevmemError) -> DmabufMemory? {
    guard !request.usesHostMemory else { return nil }
    let interface = try? request.peers.first.flatMap { peer throws(DevmemError) in
        try chooseInterface(request, leadingTo: peer)
    }
    return try DmabufMemory(
        near: interface, size: request.memory, provider: request.provider, logger: .silent)
}

private func bind(
    _ buffer: consuming DmabufMemory?, _ request: TransmitRequest, _ interface: NetworkInterface?
) throws(DevmemError) -> SendMemory {
    guard let buffer, let interface else { return try SendMemory(host: request.memory) }
    return try SendMemory(binding: buffer, to: interface)
}

/// Checks that the route leads through the NIC. Device memory can be sent only through the NIC that
/// it is bound to, and the kernel reports that only on sending.
private func checkRoute(
    _ connection: borrowing Connection, _ interface: NetworkInterface?, _ request: TransmitRequest
) throws(DevmemError) {
    guard !request.usesHostMemory, !request.isPinned, let interface, let local = connection.local,
        let holder = try? NetworkInterface(leadingTo: connection.peer, from: local.address),
        holder != interface
    else { return }
    throw DevmemError(
        .invalid, call: "send to \(connection.peer) through \(interface.name)",
        errno: .operationNotSupportedByDevice,
        message: "the route leads through \(holder.name), from \(local.address)",
        advice: .any(
            "\(.interface) \(holder.name)", "\(.pin) forces \(interface.name)"))
}

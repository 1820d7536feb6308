import Glibc
package import Logging
import Synchronization

/// Callbacks for the progress of `receive`, called on the caller's thread.
package struct ReceiveObserver {
    /// Called when listening starts, with each address and the NIC's name.
    package var listening: (Endpoint, String) -> Void
    /// Called for each new connection, with its number and the peer's address.
    package var connected: (Int, Endpoint) -> Void
    /// Called once when all is set up, before the first connection is accepted; an error ends the
    /// session.
    package var prepared: () throws(DevmemError) -> Void
    /// Called for each connection that has ended. A session of one connection calls it once, even
    /// if no peer connected.
    package var finished: (ReceiveReport) -> Void
    /// Called every half second with the payload bytes of all connections so far and the number of
    /// open connections; nil to disable it.
    package var progress: ((UInt64, Int) -> Void)?

    /// Creates an observer from its parts.
    package init(
        listening: @escaping (Endpoint, String) -> Void,
        connected: @escaping (Int, Endpoint) -> Void,
        prepared: @escaping () throws(DevmemError) -> Void = {},
        finished: @escaping (ReceiveReport) -> Void = { _ in },
        progress: ((UInt64, Int) -> Void)? = nil
    ) {
        self.listening = listening
        self.connected = connected
        self.prepared = prepared
        self.finished = finished
        self.progress = progress
    }
}

/// Creates the sink of a connection from its number and peer, on the thread that receives it. The
/// signal ends any wait.
package typealias SinkMaker<Sink: SessionSink & ~Copyable> =
    @Sendable (Int, Endpoint, borrowing StopSignal) throws(DevmemError) -> Sink

/// Receives TCP connections into one dma-buf, each on its own thread. Configures the NIC first and
/// restores it afterwards.
///
/// The unread payload of each connection, accepted or not, is limited, so that a slow reader does
/// not starve the queue for the others (see `ReceiveBudget`).
///
/// - Parameters:
///   - request: the parameters of the session.
///   - makeSink: creates the sink of a connection.
///   - stop: the signals that end the session and all its connections.
///   - observer: called as the session progresses.
///   - logger: logs each change to the NIC at level debug.
/// - Returns: the signal that ended the session; nil if none did.
/// - Throws: `DevmemError` if the session cannot start, the NIC goes away or its settings cannot be
///   restored. Failures of single connections are in their reports.
package func receive<Sink: SessionSink & ~Copyable>(
    _ request: ReceiveRequest, makeSink: @escaping SinkMaker<Sink>,
    until stop: borrowing StopSignal, observer: ReceiveObserver, logger: Logger
) throws(DevmemError) -> Int32? {
    if request.limits != .one { try requireDescriptors(for: request) }
    try BusyPoller.check(microseconds: request.busyPoll)
    let listening = try ListeningNIC(request, logger: logger)
    var placement = try ThreadPlacement(request.processors, near: listening.interface)
    defer { placement.restore() }
    var refusal: String?
    let nic = try listening.bind(request, refusal: &refusal, logger: logger)
    placement.avoidInterrupts(ofQueues: nic.queues, on: nic.interface)
    var session = ReceiveSession(
        request: request, listening: listening, budget: listening.budget(of: nic, logger: logger),
        placement: placement,
        template: listening.report(
            on: nic, placement, busyPoll: request.busyPoll, refusal: refusal),
        workers: try ReceiveWorkers(),
        makeSink: makeSink, observer: observer, logger: logger, shortage: ExhaustionLog(logger))
    // If this throws, the deinitializer of `nic` restores the settings and logs failures.
    try listening.listen(session.budget, observer.listening)
    try observer.prepared()
    session.run(on: nic, until: stop)
    var restoration: DevmemError?
    do throws(DevmemError) { try nic.release() } catch { restoration = error }
    return try session.finish(restoration)
}

/// Receives one connection into an existing sink.
///
/// - Parameters:
///   - request: the parameters of the session; its limits are ignored.
///   - sink: the sink for the payload.
///   - stop: the signals that end the session.
///   - observer: called as the session progresses; its `finished` is not called.
///   - logger: logs each change to the NIC at level debug.
/// - Returns: the report; its `failure` is set if the connection failed.
/// - Throws: `DevmemError` if the session cannot start; the NIC's settings are restored first.
package func receive<Sink: SessionSink & ~Copyable>(
    _ request: ReceiveRequest, into sink: consuming sending Sink, until stop: borrowing StopSignal,
    observer: ReceiveObserver, logger: Logger
) throws(DevmemError) -> ReceiveReport {
    let handover = Handover(sink)
    var request = request
    request.limits = .one
    var observer = observer
    var report: ReceiveReport?
    observer.finished = { report = $0 }
    defer { if var unused = handover.take() { unused.abandon() } }
    _ = try receive(
        request,
        makeSink: { _, _, _ throws(DevmemError) in
            guard let sink = handover.take() else {
                throw DevmemError(.invalid, call: "receive", message: "the sink is gone")
            }
            return sink
        }, until: stop, observer: observer, logger: logger)
    guard let report else {
        throw DevmemError(.invalid, call: "receive", message: "there is no report")
    }
    return report
}

/// A session with bound memory: accepts connections and tracks the threads that receive them.
private struct ReceiveSession<Sink: SessionSink & ~Copyable>: ~Copyable {
    let request: ReceiveRequest
    let listening: ListeningNIC
    let budget: ReceiveBudget
    let placement: ThreadPlacement
    /// The report of a connection before any payload.
    let template: ReceiveReport
    let workers: ReceiveWorkers
    let makeSink: SinkMaker<Sink>
    let observer: ReceiveObserver
    let logger: Logger
    var shortage: ExhaustionLog
    var refusedPeers = MessageLimit()
    var accepted = 0
    /// The number of connections that are still receiving.
    var receiving = 0
    /// Connections that have ended but whose output is not stored yet.
    var storing: [Int: ReceiveReport] = [:]
    /// Connections that have ended but are not reported yet.
    var done: [ReceiveReport] = []
    var signal: Int32?
    var failure: DevmemError?
    /// Whether NAPI instances are threaded, by their ids; nil for unknown ones.
    var threadedNAPIs: [UInt32: Bool?] = [:]

    private var isSingle: Bool { request.limits == .one }
    private var running: Int { receiving + storing.count }

    /// Whether more connections may be accepted.
    private var isOpen: Bool {
        signal == nil && failure == nil
            && (request.limits.continuesListening || accepted < request.limits.atOnce)
    }

    /// Runs until no connection needs the NIC. Failures are kept for `finish`.
    mutating func run(on nic: borrowing BoundNIC, until stop: borrowing StopSignal) {
        do throws(DevmemError) {
            while isOpen || receiving > 0 { try step(nic, stop) }
        } catch {
            failure = failure ?? error
            workers.stop.announce(SIGTERM)
            // The threads use the NIC and the memory, so wait for all of them.
            while receiving > 0 { workers.waitForEvents().forEach { note($0, nic) } }
        }
        // Reset waiting connections at once, so that they hold no memory.
        listening.listeners.stopListening()
    }

    /// Reports the remaining connections. Call it after the NIC is restored: storing may take long,
    /// and no signal ends it.
    consuming func finish(_ restoration: DevmemError?) throws(DevmemError) -> Int32? {
        while !storing.isEmpty {
            for case .stored(let number, let failure) in workers.waitForEvents() {
                recordStored(number, failure)
            }
        }
        if isSingle && (failure == nil || !done.isEmpty) {
            var report = done.first ?? template
            if accepted == 0 { report.stoppedBy = signal }
            if let restoration {
                restoration.noteRestoreFailure(
                    in: &report.failure, isShown: report.stoppedBy == nil, logger: logger)
            }
            observer.finished(report)
            return signal
        }
        done.forEach(observer.finished)
        // The caller needs the first failure; the other is only logged.
        if failure != nil, let restoration { logger.error("\(restoration)") }
        if let first = failure ?? restoration { throw first }
        return signal
    }

    private mutating func step(
        _ nic: borrowing BoundNIC, _ stop: borrowing StopSignal
    ) throws(DevmemError) {
        if !isOpen { listening.listeners.stopListening() }
        let accepts = isOpen && running < request.limits.atOnce
        var watched = PollSet<4>()
        watched.watch(0, signal == nil ? stop.rawValue : nil)
        watched.watch(1, accepts ? listening.listeners.rawValue : nil)
        watched.watch(2, workers.event.rawValue)
        watched.watch(3, failure == nil ? nic.watchDescriptor : nil)
        try watched.wait(milliseconds: observer.progress == nil ? -1 : 500)
        observer.progress?(workers.received.load(ordering: .relaxed), running)
        if !watched.ready(0).isEmpty, let arrived = stop.pending() {
            signal = arrived
            workers.stop.announce(arrived)
        }
        if !watched.ready(2).isEmpty {
            for event in workers.takeEvents() { note(event, nic) }
            // The report of a single connection also says whether the NIC was restored.
            if !isSingle {
                done.forEach(observer.finished)
                done = []
            }
        }
        do throws(DevmemError) {
            if !watched.ready(3).isEmpty { try nic.handleChanges() }
        } catch {
            // The existing connections cannot receive any more.
            failure = error
            workers.stop.announce(SIGTERM)
        }
        guard !watched.ready(1).isEmpty, isOpen else { return }
        do throws(DevmemError) {
            try accept(nic)
        } catch {
            // The existing connections continue to their end, without loss.
            failure = error
        }
    }

    private mutating func accept(_ nic: borrowing BoundNIC) throws(DevmemError) {
        let logger = logger
        let arrived = try listening.listeners.accept(
            endingWhenSilent: request.peerTimeout, short: { shortage.tell($0) },
            lost: { logger.warning("\($0)") })
        guard let connection = arrived else { return }
        guard request.admits(connection.peer) else {
            if refusedPeers.admits() {
                logger.notice("refused \(connection.peer), which is not allowed to connect")
            }
            return
        }
        do throws(DevmemError) {
            // The limit is the same for every connection.
            let limit = try listening.prepare(connection, request, budget)
            if accepted == 0, let shortfall = limit?.shortfall { logger.notice("\(shortfall)") }
        } catch {
            // Without the limit it could starve the others.
            logger.warning("\(connection.peer) is rejected: \(error)")
            return
        }
        accepted += 1
        receiving += 1
        observer.connected(accepted, connection.peer)
        var report = template
        report.peer = connection.peer.description
        report.processors = placement.list(ofThread: accepted - 1)
        if !isSingle { report.connection = accepted }
        let receiver = ConnectionReceiver(
            request: request, interface: nic.interface, memory: nic.memory,
            share: isSingle ? nil : budget.share, placement: placement)
        workers.start(connection, accepted, receiver, report, makeSink)
    }

    private mutating func note(_ event: ReceiveWorkers.Event, _ nic: borrowing BoundNIC) {
        switch event {
        case .received(let number, var report):
            receiving -= 1
            judge(&report, nic)
            report.isNAPIThreaded = report.napiID.flatMap { isThreaded($0) }
            storing[number] = report
        case .stored(let number, let failure): recordStored(number, failure)
        }
    }

    /// Asks once for each of the NIC's instances, and not for each connection.
    private mutating func isThreaded(_ id: UInt32) -> Bool? {
        if let known = threadedNAPIs[id] { return known }
        let answer = napiInstance(id)?.isThreaded
        threadedNAPIs[id] = .some(answer)
        return answer
    }

    private mutating func recordStored(_ number: Int, _ failure: String?) {
        guard var report = storing.removeValue(forKey: number) else { return }
        if let failure {
            noteStoreFailure(
                failure, in: &report.failure, isShown: report.stoppedBy == nil, logger: logger)
        }
        done.append(report)
    }

    /// Sets the placement of the payload. With several connections a single one may be another
    /// host's; the caller judges the sum.
    private func judge(_ report: inout ReceiveReport, _ nic: borrowing BoundNIC) {
        if isSingle, let failure {
            report.stoppedBy = nil
            report.failure = failure.description
        }
        let isFailure = isSingle && request.steers && !request.allowsHostMemory
        // After a signal the report's failure is not shown.
        nic.judge(&report, isFailure: isFailure && report.stoppedBy == nil, logger: logger)
        if isFailure { report.failure = report.failure ?? report.placement?.failure }
    }
}

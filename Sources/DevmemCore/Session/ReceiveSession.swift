import Glibc
package import Logging
import Synchronization

/// Reports the progress of `receive`. All are called by the thread that called it.
package struct ReceiveObserver {
    /// Called once it listens, with each address and the NIC's name.
    package var listening: (Endpoint, String) -> Void
    /// Called for each connection, with its number.
    package var connected: (Int, Endpoint) -> Void
    /// Called for each connection that has ended. A session of one connection calls it once, also if
    /// nobody connected.
    package var finished: (ReceiveReport) -> Void
    /// Called every half second with the payload bytes of all connections so far, and how many there
    /// are now; nil if nobody wants to know.
    package var progress: ((UInt64, Int) -> Void)?

    /// Makes an observer from its parts.
    package init(
        listening: @escaping (Endpoint, String) -> Void,
        connected: @escaping (Int, Endpoint) -> Void,
        finished: @escaping (ReceiveReport) -> Void = { _ in },
        progress: ((UInt64, Int) -> Void)? = nil
    ) {
        self.listening = listening
        self.connected = connected
        self.finished = finished
        self.progress = progress
    }
}

/// Makes the sink of a connection, by its number and peer, in the thread that receives it. If it waits
/// for something, the signal ends the wait.
package typealias SinkMaker<Sink: SessionSink & ~Copyable> =
    @Sendable (Int, Endpoint, borrowing StopSignal) throws(DevmemError) -> Sink

/// Receives TCP connections into one dma-buf, each in a thread of its own, from the NIC's set-up to its
/// restoration.
///
/// What unread payload of each connection may hold of the dma-buf is bounded, accepted or not, so
/// that a slow reader does not starve the queue for the others (see `ReceiveBudget`).
///
/// - Parameters:
///   - request: what to do.
///   - makeSink: makes the sink of a connection.
///   - stop: signals that end the session, and all connections, in good order.
///   - observer: is told how it goes.
///   - logger: receives each change of the NIC at level debug.
/// - Returns: the signal that ended it; nil if it came to its end.
/// - Throws: `DevmemError` if it could not begin, the NIC went away, or settings could not be restored.
///   The failures of a single connection are in its report.
package func receive<Sink: SessionSink & ~Copyable>(
    _ request: ReceiveRequest, makeSink: @escaping SinkMaker<Sink>,
    until stop: borrowing StopSignal, observer: ReceiveObserver, logger: Logger
) throws(DevmemError) -> Int32? {
    if request.limits != .one { try requireDescriptors(for: request) }
    let place = try ReceivePlace(request, logger: logger)
    let nic = try place.bind(request, logger: logger)
    var session = ReceiveSession(
        request: request, place: place, budget: place.budget(of: nic, logger: logger),
        template: place.report(on: nic), workers: try ReceiveWorkers(), makeSink: makeSink,
        observer: observer, logger: logger)
    // If it throws, the value that goes away restores the settings, and logs what fails.
    try place.listen(session.budget, observer.listening)
    session.run(on: nic, until: stop)
    var restoration: DevmemError?
    do throws(DevmemError) { try nic.release() } catch { restoration = error }
    return try session.finish(restoration)
}

/// Receives one connection into a sink that is there already.
///
/// - Parameters:
///   - request: what to do; its limits do not count.
///   - sink: receives the payload.
///   - stop: signals that end the session in good order.
///   - observer: is told how it goes.
///   - logger: receives each change of the NIC at level debug.
/// - Returns: what was received, also if a signal or a failure cut it short; `failure` tells.
/// - Throws: `DevmemError` if it could not begin; whatever was changed on the NIC is restored first.
package func receive<Sink: SessionSink & ~Copyable>(
    _ request: ReceiveRequest, into sink: consuming sending Sink, until stop: borrowing StopSignal,
    observer: ReceiveObserver, logger: Logger
) throws(DevmemError) -> ReceiveReport {
    let box = SinkBox(sink)
    var request = request
    request.limits = .one
    var observer = observer
    var report: ReceiveReport?
    observer.finished = { report = $0 }
    // Nothing happens if a connection has taken it.
    defer { box.abandon() }
    _ = try receive(
        request,
        makeSink: { _, _, _ throws(DevmemError) in
            guard let sink = box.take() else {
                throw DevmemError(.invalid, call: "receive", message: "the sink is gone")
            }
            return sink
        }, until: stop, observer: observer, logger: logger)
    guard let report else {
        throw DevmemError(.invalid, call: "receive", message: "there is no report")
    }
    return report
}

/// A sink on its way to the thread that receives into it.
private final class SinkBox<Sink: SessionSink & ~Copyable>: Sendable {
    private let content: Mutex<Sink?>

    init(_ sink: consuming sending Sink) {
        content = Mutex(sink)
    }

    func take() -> sending Sink? {
        content.withLock { content in
            let sink = content
            content = nil
            return sink
        }
    }

    func abandon() {
        content.withLock { $0?.abandon() }
    }
}

/// A session while its memory is bound: accepts connections and follows the threads that receive them.
private struct ReceiveSession<Sink: SessionSink & ~Copyable>: ~Copyable {
    let request: ReceiveRequest
    let place: ReceivePlace
    let budget: ReceiveBudget
    /// The report of a connection that has done nothing yet.
    let template: ReceiveReport
    let workers: ReceiveWorkers
    let makeSink: SinkMaker<Sink>
    let observer: ReceiveObserver
    let logger: Logger
    private var shortage: ShortageNotice
    private var accepted = 0
    /// Connections that payload still comes on.
    private var receiving = 0
    /// Connections that have ended and whose output is still to be stored.
    private var storing: [Int: ReceiveReport] = [:]
    /// Connections that have ended and are not reported yet.
    private var done: [ReceiveReport] = []
    private var signal: Int32?
    private var failure: DevmemError?

    init(
        request: ReceiveRequest, place: ReceivePlace, budget: ReceiveBudget,
        template: ReceiveReport, workers: ReceiveWorkers, makeSink: @escaping SinkMaker<Sink>,
        observer: ReceiveObserver, logger: Logger
    ) {
        self.request = request
        self.place = place
        self.budget = budget
        self.template = template
        self.workers = workers
        self.makeSink = makeSink
        self.observer = observer
        self.logger = logger
        shortage = ShortageNotice(logger)
    }

    private var isSingle: Bool { request.limits == .one }
    private var running: Int { receiving + storing.count }

    /// Whether further connections may come.
    private var isOpen: Bool {
        signal == nil && failure == nil
            && (request.limits.keepsOpen || accepted < request.limits.atOnce)
    }

    /// Receives until no connection needs the NIC any more. What goes wrong meanwhile is kept for `finish`.
    mutating func run(on nic: borrowing BoundNIC, until stop: borrowing StopSignal) {
        do throws(DevmemError) {
            while isOpen || receiving > 0 { try step(nic, stop) }
        } catch {
            failure = failure ?? error
            workers.stop.announce(SIGTERM)
            // The threads use the NIC and the memory: both stay until the last one has ended.
            while receiving > 0 { workers.awaitEvents().forEach { note($0, nic) } }
        }
        // Whoever waits is told at once that nobody accepts him, and holds no memory.
        place.listeners.stopListening()
    }

    /// Reports the connections that are not reported yet, once the NIC is restored: storing may take
    /// long, and no signal ends it.
    consuming func finish(_ restoration: DevmemError?) throws(DevmemError) -> Int32? {
        while !storing.isEmpty {
            for case .stored(let number, let failure) in workers.awaitEvents() {
                noteStored(number, failure)
            }
        }
        if isSingle && (failure == nil || !done.isEmpty) {
            var report = done.first ?? template
            if accepted == 0 { report.stoppedBy = signal }
            if let restoration {
                RestorationFailure(error: restoration).note(
                    in: &report.failure, isShown: report.stoppedBy == nil, logger: logger)
            }
            observer.finished(report)
            return signal
        }
        done.forEach(observer.finished)
        // What failed first is what the caller needs.
        if failure != nil, let restoration { logger.error("\(restoration)") }
        if let first = failure ?? restoration { throw first }
        return signal
    }

    private mutating func step(
        _ nic: borrowing BoundNIC, _ stop: borrowing StopSignal
    ) throws(DevmemError) {
        if !isOpen { place.listeners.stopListening() }
        let accepts = isOpen && running < request.limits.atOnce
        var watched = PollSet<4>()
        watched.watch(0, signal == nil ? stop.rawValue : nil)
        watched.watch(1, accepts ? place.listeners.rawValue : nil)
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
            // The report of a single connection says also whether the NIC could be restored.
            if !isSingle {
                done.forEach(observer.finished)
                done = []
            }
        }
        do throws(DevmemError) {
            if !watched.ready(3).isEmpty { try nic.look() }
        } catch {
            // Nothing comes any more on the connections there are.
            failure = error
            workers.stop.announce(SIGTERM)
        }
        guard !watched.ready(1).isEmpty, isOpen else { return }
        do throws(DevmemError) {
            try accept(nic)
        } catch {
            // Those that run are let run to their end, with nothing lost.
            failure = error
        }
    }

    private mutating func accept(_ nic: borrowing BoundNIC) throws(DevmemError) {
        let logger = logger
        let arrived = try place.listeners.accept(
            endingWhenSilent: request.peerTimeout, short: { shortage.tell($0) },
            lost: { logger.warning("\($0)") })
        guard let connection = arrived, request.admits(connection.peer) else { return }
        do throws(DevmemError) {
            // It is the same with each of them.
            let bound = try place.prepare(connection, request, budget)
            if accepted == 0, let shortfall = bound?.shortfall { logger.notice("\(shortfall)") }
        } catch {
            // Without its bound it could starve the others.
            logger.warning("\(connection.peer) is sent away: \(error)")
            return
        }
        accepted += 1
        receiving += 1
        observer.connected(accepted, connection.peer)
        var report = template
        report.peer = connection.peer.description
        if !isSingle { report.connection = accepted }
        let receiver = ConnectionReceiver(
            request: request, interface: nic.interface, memory: nic.memory)
        workers.start(connection, accepted, receiver, report, makeSink)
    }

    private mutating func note(_ event: ReceiveWorkers.Event, _ nic: borrowing BoundNIC) {
        switch event {
        case .received(let number, var report):
            receiving -= 1
            judge(&report, nic)
            storing[number] = report
        case .stored(let number, let failure): noteStored(number, failure)
        }
    }

    private mutating func noteStored(_ number: Int, _ failure: String?) {
        guard var report = storing.removeValue(forKey: number) else { return }
        report.failure = report.failure ?? failure
        done.append(report)
    }

    /// Judges where payload came to. Of several connections a single one may be another's; the caller
    /// judges the sum.
    private func judge(_ report: inout ReceiveReport, _ nic: borrowing BoundNIC) {
        if isSingle, let failure {
            report.stoppedBy = nil
            report.failure = failure.description
        }
        let isFailure = isSingle && request.steers && !request.allowsHostMemory
        // After a signal nobody shows the report's failure.
        nic.judge(&report, isFailure: isFailure && report.stoppedBy == nil, logger: logger)
        if isFailure { report.failure = report.failure ?? report.placement?.failure }
    }
}

import CDevmem
import Glibc
package import Logging
import Synchronization
import SystemPackage

/// How many connections a session takes.
package struct ReceiveLimits: Equatable, Sendable {
    /// Connections at once.
    package var atOnce: Int
    /// Whether it goes on when that many have ended; otherwise it takes no more than that.
    package var keepsOpen: Bool

    /// Makes limits from their values.
    package init(atOnce: Int, keepsOpen: Bool) {
        self.atOnce = atOnce
        self.keepsOpen = keepsOpen
    }
}

/// Tells a caller of `receiveMany` how it goes, so that it can show it. All are called by the
/// thread that called `receiveMany`.
package struct ReceiveManyObserver {
    /// Called once it listens, with the address and the NIC's name.
    package var listening: (Endpoint, String) -> Void
    /// Called for each connection, with its number.
    package var connected: (Int, Endpoint) -> Void
    /// Called for each connection that has ended.
    package var finished: (ReceiveReport) -> Void
    /// Called every half second with the payload bytes of all connections so far, and how many there
    /// are now; nil if nobody wants to know.
    package var progress: ((UInt64, Int) -> Void)?

    /// Makes an observer from its parts.
    package init(
        listening: @escaping (Endpoint, String) -> Void,
        connected: @escaping (Int, Endpoint) -> Void, finished: @escaping (ReceiveReport) -> Void,
        progress: ((UInt64, Int) -> Void)? = nil
    ) {
        self.listening = listening
        self.connected = connected
        self.finished = finished
        self.progress = progress
    }
}

/// Makes what takes a connection's payload, by its number and peer, until the session ends.
package typealias ConsumerMaker =
    @Sendable (Int, Endpoint, borrowing StopSignal) throws(DevmemError) -> PayloadConsumer

/// Receives many TCP connections into one dma-buf, each in a thread of its own.
///
/// What unread payload of each connection may hold of the dma-buf is bounded, accepted or not, so
/// that a slow reader does not starve the queue for the others (see `ReceiveBudget`).
///
/// - Parameters:
///   - request: what to do.
///   - limits: how many connections.
///   - makeConsumer: makes what takes a connection's payload, by its number and peer; called by
///     the connection's thread. If it waits for something, what it is given ends the wait.
///   - stop: signals that end the session, and all connections, in good order.
///   - observer: is told how it goes.
///   - logger: is told of each change of the NIC at level debug.
/// - Returns: the signal that ended it; nil if it came to its end.
/// - Throws: `DevmemError` if it could not begin, or settings could not be put back.
package func receiveMany(
    _ request: ReceiveRequest, limits: ReceiveLimits,
    makeConsumer: @escaping ConsumerMaker,
    stop: borrowing StopSignal, observer: ReceiveManyObserver, logger: Logger
) throws(DevmemError) -> Int32? {
    try requireDescriptors(for: limits.atOnce, request)
    let place = try ReceivePlace(request, limits: limits, logger: logger)
    let nic = try place.bind(request, logger: logger)
    // If it throws, the value that goes away restores the settings, and logs what fails.
    let signal = try serveBound(
        request, limits, place, nic, makeConsumer, stop, observer, logger)
    try nic.release()
    return signal
}

/// What the threads of a session share.
private final class Workers: Sendable {
    let stop: StopBroadcast
    let event: Descriptor
    private let finished = Mutex<[ReceiveReport]>([])
    /// Payload bytes of all connections so far.
    let received = Atomic<UInt64>(0)

    init() throws(DevmemError) {
        stop = try StopBroadcast()
        event = try makeEvent()
    }

    func finish(_ report: ReceiveReport) {
        finished.withLock { $0.append(report) }
        ring(event)
    }

    /// Waits, without poll(2), until so many connections have ended.
    func awaitFinished(_ count: Int) -> [ReceiveReport] {
        var reports: [ReceiveReport] = []
        cdm_fcntl(event.rawValue, F_SETFL, 0)
        while reports.count < count { reports += takeFinished() }
        return reports
    }

    func takeFinished() -> [ReceiveReport] {
        var count: UInt64 = 0
        _ = read(event.rawValue, &count, MemoryLayout<UInt64>.size)
        return finished.withLock { reports in
            defer { reports.removeAll() }
            return reports
        }
    }
}

/// A connection on its way to the thread that receives it.
private final class Handover: Sendable {
    let connection: Connection

    init(_ connection: consuming Connection) {
        self.connection = connection
    }
}

private func serveBound(
    _ request: ReceiveRequest, _ limits: ReceiveLimits, _ place: ReceivePlace,
    _ nic: borrowing BoundNIC, _ makeConsumer: @escaping ConsumerMaker,
    _ stop: borrowing StopSignal, _ observer: ReceiveManyObserver, _ logger: Logger
) throws(DevmemError) -> Int32? {
    let template = place.report(on: nic)
    let budget = place.budget(of: nic, logger: logger)
    let workers = try Workers()
    try place.listen(budget, observer.listening)

    var shortage = ShortageNotice(logger)
    var accepted = 0
    var running = 0
    var signal: Int32?
    var failure: DevmemError?
    while true {
        let isOpen =
            signal == nil && failure == nil && (limits.keepsOpen || accepted < limits.atOnce)
        // Whoever waits is told at once that nobody takes him, and holds no memory.
        if !isOpen { place.listeners.stopListening() }
        if !isOpen && running == 0 { break }
        var watched = PollSet<4>()
        watched.watch(0, signal == nil ? stop.rawValue : nil)
        watched.watch(1, isOpen && running < limits.atOnce ? place.listeners.rawValue : nil)
        watched.watch(2, workers.event.rawValue)
        watched.watch(3, failure == nil ? nic.watchDescriptor : nil)
        do throws(DevmemError) {
            try watched.wait(milliseconds: observer.progress == nil ? -1 : 500)
        } catch {
            // The threads use the NIC and the memory: both stay until the last one has ended.
            workers.stop.announce(SIGTERM)
            workers.awaitFinished(running).forEach(observer.finished)
            throw failure ?? error
        }
        observer.progress?(workers.received.load(ordering: .relaxed), running)
        if !watched.ready(0).isEmpty, let arrived = stop.pending() {
            signal = arrived
            workers.stop.announce(arrived)
        }
        if !watched.ready(2).isEmpty {
            for finished in workers.takeFinished() {
                running -= 1
                var report = finished
                // Of several connections a single one may be another's; the caller judges the sum.
                nic.judge(&report, isFailure: false, logger: logger)
                observer.finished(report)
            }
        }
        if !watched.ready(3).isEmpty {
            do throws(DevmemError) {
                try nic.look()
            } catch {
                // Nothing comes any more on the connections there are.
                failure = error
                workers.stop.announce(SIGTERM)
                continue
            }
        }
        guard !watched.ready(1).isEmpty else { continue }
        do throws(DevmemError) {
            let arrived = try place.listeners.accept(
                endingWhenSilent: request.peerTimeout, short: { shortage.tell($0) },
                lost: { logger.warning("\($0)") })
            guard let connection = arrived, request.admits(connection.peer) else { continue }
            do throws(DevmemError) {
                // It is the same with each of them.
                let bound = try place.prepare(connection, request, budget)
                if accepted == 0, let shortfall = bound?.shortfall {
                    logger.notice("\(shortfall)")
                }
            } catch {
                // Without its bound it could starve the others.
                logger.warning("\(connection.peer) is sent away: \(error)")
                continue
            }
            accepted += 1
            running += 1
            observer.connected(accepted, connection.peer)
            var report = template
            report.connection = accepted
            start(
                Handover(connection), request, nic.interface, nic.memory, workers, report,
                makeConsumer)
        } catch {
            // Those that run are let run to their end, with nothing lost.
            failure = error
        }
    }
    if let failure { throw failure }
    return signal
}

/// Receives a connection in a thread of its own. If there cannot be one more, it is this connection
/// that fails.
private func start(
    _ handover: Handover, _ request: ReceiveRequest, _ interface: NetworkInterface,
    _ bound: BoundMemory, _ workers: Workers, _ begun: ReceiveReport,
    _ makeConsumer: @escaping ConsumerMaker
) {
    do throws(DevmemError) {
        try runInThread {
            var report = begun
            var counted: UInt64 = 0
            let stop = StopSignal(following: workers.stop)
            do throws(DevmemError) {
                var consumer = try makeConsumer(
                    begun.connection ?? 0, handover.connection.peer, stop)
                try consumer.begin()
                runConnection(
                    with: handover.connection, request, interface, bound, &consumer, stop,
                    progress: {
                        workers.received.wrappingAdd($0 &- counted, ordering: .relaxed)
                        counted = $0
                    }, &report)
                store(&consumer, failure: &report.failure)
            } catch {
                report.peer = handover.connection.peer.description
                report.stoppedBy = error.signal
                if error.signal == nil { report.failure = error.description }
            }
            workers.finish(report)
        }
    } catch {
        var report = begun
        report.peer = handover.connection.peer.description
        report.failure = error.description
        workers.finish(report)
    }
}

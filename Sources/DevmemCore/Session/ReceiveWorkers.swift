import CDevmem
import Glibc
import Synchronization

/// The threads of a receive session, as seen from the one that accepts.
final class ReceiveWorkers: Sendable {
    /// What a thread has to tell.
    enum Event: Sendable {
        /// The connection of that number has ended, and the NIC is not needed for it any more.
        case received(Int, ReceiveReport)
        /// What came on it is stored; or why it is not.
        case stored(Int, failure: String?)
    }

    /// A connection on its way to its thread, which closes it when it has ended.
    private final class Handover: Sendable {
        private let connection: Mutex<Connection?>

        init(_ connection: consuming sending Connection) {
            self.connection = Mutex(connection)
        }

        func take() -> Connection? {
            connection.withLock { connection in
                let taken = connection
                connection = nil
                return taken
            }
        }
    }

    /// Ends the connections.
    let stop: StopBroadcast
    /// Readable when a thread has something to tell.
    let event: Descriptor
    /// Payload bytes of all connections so far.
    let received = Atomic<UInt64>(0)
    private let events = Mutex<[Event]>([])

    init() throws(DevmemError) {
        stop = try StopBroadcast()
        event = try makeEventDescriptor()
    }

    /// What threads have told since the last call.
    func takeEvents() -> [Event] {
        var count: UInt64 = 0
        _ = read(event.rawValue, &count, MemoryLayout<UInt64>.size)
        return events.withLock { events in
            defer { events.removeAll() }
            return events
        }
    }

    /// The same, once there is something.
    func awaitEvents() -> [Event] {
        // Reading waits as well, where poll(2) has failed.
        cdm_fcntl(event.rawValue, F_SETFL, 0)
        return takeEvents()
    }

    private func post(_ new: Event) {
        events.withLock { $0.append(new) }
        ring(event)
    }

    /// Receives a connection in a thread of its own. If there cannot be one more, it is this connection
    /// that fails.
    func start<Sink: SessionSink & ~Copyable>(
        _ connection: consuming sending Connection, _ number: Int, _ receiver: ConnectionReceiver,
        _ begun: ReceiveReport, _ makeSink: @escaping SinkMaker<Sink>
    ) {
        let peer = connection.peer
        let handover = Handover(connection)
        do throws(DevmemError) {
            try runInThread { [self] in
                var report = begun
                var failure: String?
                do throws(DevmemError) {
                    let stop = StopSignal(following: stop)
                    var sink = try makeSink(number, peer, stop)
                    try begin(&sink)
                    if let connection = handover.take() {
                        receive(connection, receiver, &sink, stop, &report)
                    }
                    post(.received(number, report))
                    // After its time is taken: how fast the disk is says nothing of the connection. Also
                    // after a signal: what came until then is the user's.
                    do throws(DevmemError) {
                        try sink.store()
                    } catch {
                        failure = error.description
                    }
                } catch {
                    report.stoppedBy = error.signal
                    if error.signal == nil { report.failure = error.description }
                    _ = handover.take()
                    post(.received(number, report))
                }
                post(.stored(number, failure: failure))
            }
        } catch {
            var report = begun
            report.failure = error.description
            _ = handover.take()
            post(.received(number, report))
            post(.stored(number, failure: nil))
        }
    }

    private func begin<Sink: SessionSink & ~Copyable>(_ sink: inout Sink) throws(DevmemError) {
        do throws(DevmemError) {
            try sink.begin()
        } catch {
            sink.abandon()
            throw error
        }
    }

    /// Receives a connection to its end and closes it.
    private func receive<Sink: SessionSink & ~Copyable>(
        _ connection: consuming Connection, _ receiver: ConnectionReceiver, _ sink: inout Sink,
        _ stop: borrowing StopSignal, _ report: inout ReceiveReport
    ) {
        var counted: UInt64 = 0
        receiver.run(connection, into: &sink, until: stop, &report) {
            received.wrappingAdd($0 &- counted, ordering: .relaxed)
            counted = $0
        }
    }
}

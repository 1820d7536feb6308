import CDevmem
import Glibc
import Synchronization

/// The threads of a receive session, as seen by the accepting thread.
final class ReceiveWorkers: Sendable {
    /// An event reported by a thread.
    enum Event: Sendable {
        /// The connection with this number has ended and no longer needs the NIC.
        case received(Int, ReceiveReport)
        /// The connection's output is stored, or storing it failed.
        case stored(Int, failure: String?)
    }

    /// Stops all connections.
    let stop: StopBroadcast
    /// An eventfd that is readable when events are pending.
    let event: Descriptor
    /// The payload bytes of all connections so far.
    let received = Atomic<UInt64>(0)
    private let events = Mutex<[Event]>([])

    init() throws(DevmemError) {
        stop = try StopBroadcast()
        event = try makeEventDescriptor()
    }

    /// Returns the pending events.
    func takeEvents() -> [Event] {
        var count: UInt64 = 0
        _ = read(event.rawValue, &count, MemoryLayout<UInt64>.size)
        return events.withLock { events in
            defer { events.removeAll() }
            return events
        }
    }

    /// Waits for events and returns them.
    func waitForEvents() -> [Event] {
        // Block in read(2), which works even if poll(2) has failed.
        cdm_fcntl(event.rawValue, F_SETFL, 0)
        return takeEvents()
    }

    private func post(_ new: Event) {
        events.withLock { $0.append(new) }
        notify(event)
    }

    /// Receives a connection on a new thread. If the thread cannot be created, the connection
    /// fails.
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
                    try receiver.placement.place(thread: number - 1)
                    let stop = StopSignal(following: stop)
                    var sink = try makeSink(number, peer, stop)
                    try begin(&sink)
                    if let connection = handover.take() {
                        receive(connection, receiver, &sink, stop, &report)
                    }
                    post(.received(number, report))
                    // Store after the connection's time is taken, because the disk's speed is not
                    // the connection's. Store also after a signal: the user keeps what was
                    // received.
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

import Glibc
import SystemPackage

/// Sends a source's payload on a connection and receives into a sink, on one thread.
public struct Exchange<Source: PayloadSource & ~Copyable>: ~Copyable {
    /// Why the exchange ended.
    public enum End: Equatable, Sendable {
        /// All data is sent and acknowledged, and the peer has closed its direction.
        case finished
        /// All data is sent and acknowledged, but the peer did not close its direction in time.
        case peerStillOpen
        /// A signal arrived.
        case stopped(by: Int32)
    }

    private let memory: SendMemory
    /// The source of the payload.
    public private(set) var source: Source
    private var sender: PayloadSender
    /// The receiver, with its counts.
    package private(set) var receiver: PayloadReceiver
    /// Whether the peer has closed its direction.
    public private(set) var peerClosed = false
    /// Whether the peer has acknowledged all data and the FIN.
    private var isDelivered = false
    /// Waits for completions and acknowledgements once sending has finished.
    private var closing: CompletionWaiter?
    private var poller = BusyPoller()

    /// Creates an exchange for one connection.
    ///
    /// - Parameters:
    ///   - source: the payload to send.
    ///   - memory: the memory to send from.
    ///   - receiver: the receiver for incoming payload.
    ///   - chunk: the most bytes that one send, or one read of the source, handles.
    ///   - entrySize: the most bytes in one iovec entry; nil for no limit.
    /// - Throws: `DevmemError` of kind `invalid` if the memory is too small for the source.
    public init(
        sending source: consuming Source, from memory: consuming SendMemory,
        receiving receiver: consuming PayloadReceiver, chunk: Int, entrySize: Int? = nil
    ) throws(DevmemError) {
        let sender = try PayloadSender(
            of: source, memory: memory.size, chunk: chunk, entrySize: entrySize)
        self.memory = memory
        self.source = source
        self.sender = sender
        self.receiver = receiver
    }

    /// The counts of sent payload, with the number of bytes received.
    public var counts: SendCounts {
        var counts = sender.counts
        counts.receivedBytes = receiver.counts.bytes
        return counts
    }

    /// The number of sends whose completion is outstanding.
    public var outstandingSends: Int { sender.outstandingSends }

    /// Sends and receives until all data is acknowledged and the peer has closed its direction, or
    /// a signal arrives.
    ///
    /// - Parameters:
    ///   - connection: the connection.
    ///   - sink: the sink for received payload.
    ///   - stop: the signals.
    ///   - limits: the timeouts.
    ///   - progress: called after each round of sends with the number of payload bytes sent so far.
    /// - Returns: why the exchange ended.
    /// - Throws: `DevmemError` of kind `system` if the connection fails, with the number of
    ///   acknowledged bytes, or is idle for too long; or an error of the sink or the source.
    public mutating func run<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal,
        limits: StreamLimits = StreamLimits(), progress: (UInt64) -> Void = { _ in }
    ) throws(DevmemError) -> End {
        let end: End
        do throws(DevmemError) {
            poller = try BusyPoller(
                microseconds: limits.busyPoll, keeping: [stop.rawValue, connection.rawValue])
            if memory.isDevice { try connection.enableZerocopy() }
            end = try transfer(connection, &sink, stop, limits, progress)
        } catch {
            try? sink.finish()
            sender.countAcknowledged(connection)
            guard endingErrors.contains(error.errno) else { throw error }
            throw error.explainingDisconnect().noting(
                acknowledged: sender.counts.acknowledgedBytes, of: sender.counts.sentBytes)
        }
        sender.countAcknowledged(connection)
        try sink.finish()
        return end
    }

    private mutating func transfer<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ stop: borrowing StopSignal,
        _ limits: StreamLimits, _ progress: (UInt64) -> Void
    ) throws(DevmemError) -> End {
        var hasInput = false
        let needs = sink.needs
        while true {
            let step = try sender.step(
                connection, from: &source, in: memory, looks: hasInput || source.isReady)
            progress(sender.counts.sentBytes)
            if try hasEnded(connection) { return .finished }

            let state = DirectionState(
                hasInput: sender.needsInput(isInPlace: source.isInPlace) && source.isReady,
                receives: !peerClosed && !source.pausesReceiving, isFull: step == .full)
            switch try wait(connection, state, stop, timeout: timeout(limits)) {
            case .stopped(let signal): return .stopped(by: signal)
            case .timeout:
                if isDelivered { return .peerStillOpen }
                if lacksCompletions, try connection.hasDelivered() {
                    throw completionError(connection.peer, after: timeout(limits))
                }
                let isCoalesced = !state.isFull && sender.isCoalescing
                if !isCoalesced && limits.idle >= 0 && !state.hasInput {
                    throw idleError(connection.peer, limits.idle)
                }
                if isCoalesced { sender.flushCoalesced() }
                hasInput = try isInputReady()
            case .ready(let events, let input):
                hasInput = input
                // Receive first: data and the peer's FIN may precede a reset.
                if !events.isDisjoint(with: [.input, .hangUp]), state.receives,
                    case .stopped(let signal) = try receive(connection, &sink, needs, stop)
                {
                    return .stopped(by: signal)
                }
                if events.contains(.failure) { try collect(connection) }
            }
        }
    }

    /// Whether the peer has closed its direction, and only completions of sends are missing.
    package var lacksCompletions: Bool {
        sender.hasFinished && peerClosed && !isDelivered && !sender.isFree
    }

    /// The timeout of a wait in milliseconds; a negative number means none.
    func timeout(_ limits: StreamLimits) -> Int32 {
        if isDelivered { return limits.closing }
        guard lacksCompletions else { return limits.idle }
        return limits.idle < 0 ? completionTimeout : min(limits.idle, completionTimeout)
    }

    /// Returns whether all data is acknowledged and the peer has closed its direction.
    private mutating func hasEnded(_ connection: borrowing Connection) throws(DevmemError) -> Bool {
        guard sender.hasFinished else { return false }
        if closingDescriptor == nil { closing = try CompletionWaiter(connection) }
        // Free memory alone proves nothing: a reset completes every send.
        if !isDelivered && sender.isFree { isDelivered = try connection.hasDelivered() }
        return isDelivered && peerClosed
    }

    private mutating func receive<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ needs: PayloadNeeds,
        _ stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        let step = try receiver.step(connection, into: &sink, needing: needs, until: stop)
        if step == .end { peerClosed = true }
        return step
    }

    private mutating func collect(_ connection: borrowing Connection) throws(DevmemError) {
        try sender.collect(connection, for: &source)
        // A failed connection also completes its sends. After the FIN, `hasDelivered` decides
        // whether the error matters.
        if !sender.hasFinished, let error = connection.pendingError() {
            throw connection.deliveryError(error)
        }
    }

    private func isInputReady() throws(DevmemError) -> Bool {
        guard !sender.inputEnded, let input = source.inputDescriptor else { return false }
        return try poll(input, for: .input, milliseconds: 0)
    }

    private var closingDescriptor: Int32? {
        switch closing {
        case .some(let made): made.rawValue
        case .none: nil
        }
    }

    /// Waits for the events that can make progress.
    private mutating func wait(
        _ connection: borrowing Connection, _ state: DirectionState, _ stop: borrowing StopSignal,
        timeout: Int32
    ) throws(DevmemError) -> WaitResult {
        let isCoalescing = !state.isFull && sender.isCoalescing
        let unsent = sender.ring.unsent
        // Enough data is ready for a socket whose buffer is full.
        let hasEnough = state.isFull && sender.coalescer.reachesTarget(unsent)
        var input: Int32?
        if sender.needsInput(isInPlace: source.isInPlace) && !isCoalescing && !hasEnough {
            input = source.inputDescriptor
        }
        var own: Int32? = connection.rawValue
        var events = PollEvents()
        if state.receives { events.insert(.input) }
        if unsent > 0 && state.isFull { events.insert(.output) }
        if let watch = closingDescriptor {
            // The source has ended by now. A closed connection always reports an event.
            input = isDelivered ? nil : watch
            if peerClosed { own = nil }
        }
        var time: UInt64?
        if isCoalescing {
            // Completions would only end the wait early; an echo's input is the connection itself.
            if source.inputDescriptor != nil { own = nil }
            time = sender.coalescer.wait(with: unsent)
        } else if state.hasInput && !state.isFull {
            // Still check for signals and completions.
            time = 0
        } else if timeout >= 0 {
            time = UInt64(timeout) * 1_000_000
        }
        let mustReceive = state.receives && receiver.isReady
        var watched = PollSet<3>()
        watched.watch(0, stop.rawValue)
        watched.watch(1, own, for: events)
        watched.watch(2, input)
        var result = try wait(&watched, mustReceive ? 0 : time, stop) ?? outcome(of: watched)
        if mustReceive { result.insert(.input) }
        return result
    }

    /// Waits for a set whose first entry is the stop signal; nil if another entry is ready.
    private mutating func wait(
        _ watched: inout PollSet<3>, _ time: UInt64?, _ stop: borrowing StopSignal
    ) throws(DevmemError) -> WaitResult? {
        let start = time.map { $0 > 0 } ?? false ? monotonicTime() : 0
        var left = time
        while true {
            let count = try poller.wait(&watched, nanoseconds: left)
            let isSignalled = !watched.ready(0).isEmpty
            if isSignalled, let signal = stop.pending() { return .stopped(by: signal) }
            if count == 0 { return .timeout }
            guard count == 1 && isSignalled else { return nil }
            // A wakeup without a stop signal does not extend the timeout.
            if let time, time > 0 { left = time - min(time, monotonicTime() - start) }
        }
    }

    private func outcome(of watched: PollSet<3>) -> WaitResult {
        let input = !watched.ready(2).isEmpty
        guard closingDescriptor != nil else { return .ready(watched.ready(1), input: input) }
        guard input else { return .ready(watched.ready(1), input: false) }
        switch closing {
        case .some(let watch): watch.clear()
        case .none: break
        }
        return .ready(watched.ready(1).union(.failure), input: false)
    }
}

/// The errors that end a connection, whichever call reports them.
private let endingErrors: Set<Errno?> = [
    .connectionReset, .brokenPipe, .timedOut, .noRouteToHost, .networkUnreachable, .connectionAbort,
]

/// How long a NIC may take to report sends that the peer has acknowledged, in milliseconds. A driver
/// that resets a stuck queue does so within 20 s.
private let completionTimeout: Int32 = 30_000

private func completionError(_ peer: Endpoint, after milliseconds: Int32) -> DevmemError {
    DevmemError(
        .system, .init(.send, "send to \(peer)"),
        message: "the peer has everything, but for \(milliseconds / 1000) s the NIC has not "
            + "reported all sends as complete",
        advice: "the driver or the NIC loses completions; validate shows whether it does")
}

/// What both directions of an exchange can do next.
private struct DirectionState {
    /// The source has input and the ring has room for it.
    var hasInput: Bool
    /// Payload may be received.
    var receives: Bool
    /// The send buffer is full.
    var isFull: Bool
}

/// The result of a wait.
private enum WaitResult {
    case ready(PollEvents, input: Bool)
    case timeout
    case stopped(by: Int32)

    /// Adds events of the connection, unless a signal arrived.
    mutating func insert(_ events: PollEvents) {
        switch self {
        case .ready(let others, let input): self = .ready(others.union(events), input: input)
        case .timeout: self = .ready(events, input: false)
        case .stopped: break
        }
    }
}

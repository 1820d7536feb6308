import Glibc
import SystemPackage

/// A connection on which payload goes both ways: sends a source's and receives into a sink, in one thread.
public struct Exchange<Source: PayloadSource & ~Copyable>: ~Copyable {
    /// Why it ended.
    public enum End: Equatable {
        /// Everything is sent and acknowledged, and the peer has closed its direction.
        case finished
        /// Everything is sent and acknowledged; the peer did not close in the time it was given.
        case peerStillOpen
        /// A signal came.
        case stopped(by: Int32)
    }

    private let memory: SendMemory
    private var source: Source
    private var sender: PayloadSender
    /// What receives.
    package private(set) var receiver: PayloadReceiver
    /// Whether the peer has closed its direction.
    public private(set) var peerClosed = false
    /// Whether the peer has acknowledged everything, the end of the stream included.
    private var isDelivered = false
    /// How completions and acknowledgements are waited for once nothing more is sent.
    private var closing: CompletionWatch?

    /// Makes an exchange for one connection.
    ///
    /// - Parameters:
    ///   - source: where payload comes from.
    ///   - memory: what to send from.
    ///   - receiver: what receives.
    ///   - chunk: the most bytes that one send takes, and one look at the source brings.
    ///   - piece: the most bytes that a send names in one piece; nil for no bound.
    /// - Throws: `DevmemError` of kind `invalid` if the memory is too small for the source.
    public init(
        sending source: consuming Source, from memory: consuming SendMemory,
        receiving receiver: consuming PayloadReceiver, chunk: Int, piece: Int? = nil
    ) throws(DevmemError) {
        let sender = try PayloadSender(of: source, memory: memory.size, chunk: chunk, piece: piece)
        self.memory = memory
        self.source = source
        self.sender = sender
        self.receiver = receiver
    }

    /// What was sent, and how many bytes came back.
    public var counts: SendCounts {
        var counts = sender.counts
        counts.receivedBytes = receiver.counts.bytes
        return counts
    }

    /// Sends that the kernel has not yet reported done.
    public var outstandingSends: Int { sender.outstandingSends }

    /// Sends until everything is acknowledged and the peer has closed, or a signal comes.
    ///
    /// - Parameters:
    ///   - connection: the connection.
    ///   - sink: what receives.
    ///   - stop: the signals.
    ///   - limits: both count.
    ///   - progress: called after each round of sends with the payload bytes so far.
    /// - Returns: how it ended.
    /// - Throws: `DevmemError` of kind `system` if the connection fails, which then says how much the
    ///   peer acknowledged, or is idle for too long; and what sink and source throw.
    public mutating func run<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal,
        limits: StreamLimits = StreamLimits(), progress: (UInt64) -> Void = { _ in }
    ) throws(DevmemError) -> End {
        do throws(DevmemError) {
            if memory.isDevice { try connection.enableZerocopy() }
            let end = try carry(connection, &sink, stop, limits, progress)
            sender.countAcknowledged(connection)
            return end
        } catch {
            sender.countAcknowledged(connection)
            guard endingErrors.contains(error.errno) else { throw error }
            throw error.explainingLoss().noting(
                acknowledged: sender.counts.acknowledgedBytes, of: sender.counts.sentBytes)
        }
    }

    private mutating func carry<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ stop: borrowing StopSignal,
        _ limits: StreamLimits, _ progress: (UInt64) -> Void
    ) throws(DevmemError) -> End {
        var hasInput = false
        while true {
            let step = try sender.step(
                connection, from: &source, in: memory, looks: hasInput || source.isAtHand)
            progress(sender.counts.sentBytes)
            if try hasEnded(connection) { return .finished }

            let ways = Ways(
                isInputAtHand: sender.wantsInput(isInPlace: source.isInPlace) && source.isAtHand,
                receives: !peerClosed && !source.holdsReceived, isFull: step == .full)
            switch try wait(
                connection, ways, stop, timeout: isDelivered ? limits.closing : limits.idle)
            {
            case .stopped(let signal): return .stopped(by: signal)
            case .timeout:
                if isDelivered { return .peerStillOpen }
                let isCoalesced = !ways.isFull && sender.isCoalescing
                if !isCoalesced && limits.idle >= 0 && !ways.isInputAtHand {
                    throw idleError(connection.peer, limits.idle)
                }
                if isCoalesced { sender.stopCoalescing() }
                hasInput = try isInputReady()
            case .ready(let events, let input):
                hasInput = input
                // First what came: the end of the peer's direction may stand before a reset.
                if !events.isDisjoint(with: [.input, .hangUp]), ways.receives,
                    case .stopped(let signal) = try receive(connection, &sink, stop)
                {
                    return .stopped(by: signal)
                }
                if events.contains(.failure) { try collect(connection) }
            }
        }
    }

    /// Whether everything is acknowledged and the peer has closed.
    private mutating func hasEnded(_ connection: borrowing Connection) throws(DevmemError) -> Bool {
        guard sender.hasFinished else { return false }
        if closingDescriptor == nil { closing = try CompletionWatch(connection) }
        // That memory is free says nothing: a reset completes every send.
        if !isDelivered && sender.isFree { isDelivered = try connection.hasDelivered() }
        return isDelivered && peerClosed
    }

    private mutating func receive<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        let step = try receiver.step(connection, into: &sink, until: stop)
        if step == .end { peerClosed = true }
        return step
    }

    private mutating func collect(_ connection: borrowing Connection) throws(DevmemError) {
        try sender.collect(connection, for: &source)
        // Completions may come because the connection itself failed. Once sending has ended it takes
        // more to tell whether that matters.
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

    /// Waits for what matters now.
    private func wait(
        _ connection: borrowing Connection, _ ways: Ways, _ stop: borrowing StopSignal,
        timeout: Int32
    ) throws(DevmemError) -> Waited {
        let isCoalescing = !ways.isFull && sender.isCoalescing
        let unsent = sender.ring.unsent
        // A socket that is full needs no more than this at hand.
        let hasEnough = ways.isFull && sender.coalescer.isEnough(unsent)
        var input: Int32?
        if sender.wantsInput(isInPlace: source.isInPlace) && !isCoalescing && !hasEnough {
            input = source.inputDescriptor
        }
        var own: Int32? = connection.rawValue
        var events = PollEvents()
        if ways.receives { events.insert(.input) }
        if unsent > 0 && ways.isFull { events.insert(.output) }
        if let watch = closingDescriptor {
            // The input has ended by now. A connection that has too always has something to report.
            input = isDelivered ? nil : watch
            if peerClosed { own = nil }
        }
        var time: UInt64?
        if isCoalescing {
            // Completions would only wake it early; an echo's input is the connection itself.
            if source.inputDescriptor != nil { own = nil }
            time = sender.coalescer.wait(with: unsent)
        } else if ways.isInputAtHand && !ways.isFull {
            // Signals and completions are looked at all the same.
            time = 0
        } else if timeout >= 0 {
            time = UInt64(timeout) * 1_000_000
        }
        var watched = PollSet<3>()
        watched.watch(0, stop.rawValue)
        watched.watch(1, own, for: events)
        watched.watch(2, input)
        guard let waited = try wait(&watched, time, stop) else {
            return outcome(of: watched)
        }
        return waited
    }

    /// Waits for one of a set, of which the first stands for signals; nil if another is ready.
    private func wait(
        _ watched: inout PollSet<3>, _ time: UInt64?, _ stop: borrowing StopSignal
    ) throws(DevmemError) -> Waited? {
        let start = time.map { $0 > 0 } ?? false ? monotonicTime() : 0
        var left = time
        while true {
            let count = try watched.wait(nanoseconds: left)
            let isSignalled = !watched.ready(0).isEmpty
            if isSignalled, let signal = stop.pending() { return .stopped(by: signal) }
            if count == 0 { return .timeout }
            guard count == 1 && isSignalled else { return nil }
            // What was looked at stops nothing, and the wait is no longer for it.
            if let time, time > 0 { left = time - min(time, monotonicTime() - start) }
        }
    }

    private func outcome(of watched: PollSet<3>) -> Waited {
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

/// The errors that a connection ends with, whatever call reports them.
private let endingErrors: Set<Errno?> = [
    .connectionReset, .brokenPipe, .timedOut, .noRouteToHost, .networkUnreachable, .connectionAbort,
]

/// What may happen next on an exchange.
private struct Ways {
    var isInputAtHand: Bool
    var receives: Bool
    var isFull: Bool
}

/// How a wait of an exchange ended.
private enum Waited {
    case ready(PollEvents, input: Bool)
    case timeout
    case stopped(by: Int32)
}

import CDevmem
import Glibc
import SystemPackage

/// Sends a stream from a ring of memory: fills ahead while sends are in flight, frees what the
/// kernel no longer needs, and takes what comes back.
package struct PayloadSender: ~Copyable {
    /// Why sending ended.
    package enum End: Equatable {
        /// Everything is sent and acknowledged, and the peer has closed its direction.
        case finished
        /// Everything is sent and acknowledged; the peer did not close in the time it was given.
        case peerStillOpen
        /// A signal came.
        case stopped(by: Int32)
    }

    /// As many bytes of an echo are worth a send.
    private static let worthEchoing = 64 << 10

    package private(set) var counts = SendCounts()
    private var ring: SendRing
    private var ledger = ZerocopyTracker()
    private let chunk: Int
    private let piece: Int?
    private let control = ReceiveControl()
    private var inputEnded = false
    private var sendingEnded = false
    private var gathering = InputCoalescer(target: worthEchoing, now: monotonicTime())
    /// Whether what gathered has waited long enough.
    private var isDue = false
    private(set) var peerClosed = false
    /// Whether the peer has acknowledged everything, the end of the stream included.
    private var isDelivered = false
    /// How completions and acknowledgements are waited for once nothing more is sent.
    private var closing: CompletionWatch?

    /// Sends that the kernel has not yet reported done.
    package var outstandingSends: Int { ledger.outstanding }

    /// - Parameters:
    ///   - capacity: bytes of the ring.
    ///   - chunk: the most bytes that one send takes, and one look at the input brings.
    ///   - piece: the most bytes that a send names in one piece; nil for no bound.
    package init(capacity: Int, chunk: Int, piece: Int? = nil) {
        ring = SendRing(capacity: capacity)
        self.chunk = min(chunk, capacity)
        self.piece = piece
    }

    /// Sends until everything is acknowledged and the peer has closed, or a signal comes. A
    /// connection that ends before is an error that says how much the peer acknowledged.
    ///
    /// Payload comes from the source or, without one, from what the consumer's echo holds. Once
    /// everything is acknowledged the peer has `wait` milliseconds for closing; `idleLimit`
    /// milliseconds in which nothing happens are an error. Negative numbers let any time pass.
    package mutating func run<Receiver: StreamReceiver & ~Copyable>(
        _ connection: borrowing Connection, memory: borrowing SendMemory,
        source: inout PayloadSource?, receiver: inout Receiver, consumer: inout PayloadConsumer,
        wait: Int32, idleLimit: Int32 = -1, stop: borrowing StopSignal,
        progress: (UInt64) -> Void
    ) throws(DevmemError) -> End {
        do throws(DevmemError) {
            let end = try carry(
                connection, memory: memory, source: &source, receiver: &receiver,
                consumer: &consumer, wait: wait, idleLimit: idleLimit, stop: stop,
                progress: progress)
            countAcknowledged(connection)
            return end
        } catch {
            countAcknowledged(connection)
            guard Self.endConnections.contains(error.errno) else { throw error }
            throw error.explainingLoss().noting(
                acknowledged: counts.acknowledgedBytes, of: counts.sentBytes)
        }
    }

    /// The errors that a connection ends with, whatever call tells of them.
    private static let endConnections: Set<Errno?> = [
        .connectionReset, .brokenPipe, .timedOut, .noRouteToHost, .networkUnreachable,
        .connectionAbort,
    ]

    private mutating func countAcknowledged(_ connection: borrowing Connection) {
        guard let left = try? connection.unacknowledged() else { return }
        // The end of the stream is acknowledged last.
        let bytes = UInt64(max(0, sendingEnded ? left - 1 : left))
        counts.acknowledgedBytes = counts.sentBytes - min(bytes, counts.sentBytes)
    }

    private mutating func carry<Receiver: StreamReceiver & ~Copyable>(
        _ connection: borrowing Connection, memory: borrowing SendMemory,
        source: inout PayloadSource?, receiver: inout Receiver, consumer: inout PayloadConsumer,
        wait: Int32, idleLimit: Int32, stop: borrowing StopSignal, progress: (UInt64) -> Void
    ) throws(DevmemError) -> End {
        var hasInput = false
        if let target = worthGathering(source) {
            gathering = InputCoalescer(target: target, now: monotonicTime())
        }
        while true {
            try fill(memory, &source, &consumer, hasInput: hasInput)
            let isFull = try send(connection, memory)
            progress(counts.sentBytes)
            if inputEnded && ring.unsent == 0 && !sendingEnded {
                try connection.finishSending()
                sendingEnded = true
            }
            if sendingEnded && number(of: closing) == nil {
                closing = try CompletionWatch(connection)
            }
            // That memory is free says nothing: a reset completes every send.
            if sendingEnded && !isDelivered && ring.freed == ring.filled {
                isDelivered = try connection.hasDelivered()
            }
            if isDelivered && peerClosed { return .finished }

            let ways = Ways(
                input: inputDescriptor(source),
                isInputAtHand: !inputEnded && ring.room > 0 && isAtHand(source, consumer),
                receives: !peerClosed && (consumer.echo?.isEmpty ?? true), isFull: isFull)
            switch try poll(
                connection, ways, stop, timeout: isDelivered ? wait : idleLimit)
            {
            case .stopped(let signal): return .stopped(by: signal)
            case .timeout:
                if isDelivered { return .peerStillOpen }
                let isGathered = !isFull && isGathering
                if !isGathered && idleLimit >= 0 && !ways.isInputAtHand {
                    throw idleError(connection.peer, idleLimit)
                }
                isDue = isGathered
                hasInput = try isReady(inputDescriptor(source))
            case .ready(let socket, let input):
                hasInput = input
                // First what came: the end of the peer's direction may stand before a reset.
                if socket & Int16(POLLIN | POLLHUP) != 0, ways.receives {
                    switch try receiver.take(from: connection, consumer: &consumer, stop: stop) {
                    case .bytes(let count): counts.receivedBytes += UInt64(count)
                    case .nothing: break
                    case .end: peerClosed = true
                    case .stopped(let signal): return .stopped(by: signal)
                    }
                }
                if socket & Int16(POLLERR) != 0 {
                    try collect(connection, isDevice: memory.isDevice)
                }
            }
        }
    }

    private func inputDescriptor(_ source: borrowing PayloadSource?) -> Int32? {
        switch source {
        case .some(let given): given.rawValue
        case .none: nil
        }
    }

    private func worthGathering(_ source: borrowing PayloadSource?) -> Int? {
        switch source {
        case .some(let given): given.worthGathering
        case .none: nil
        }
    }

    /// Whether there is input that needs no waiting for.
    private func isAtHand(
        _ source: borrowing PayloadSource?, _ consumer: borrowing PayloadConsumer
    ) -> Bool {
        switch source {
        case .some(let given): given.rawValue == nil
        case .none: consumer.echo.map { !$0.isEmpty || peerClosed } ?? true
        }
    }

    /// Puts one look at the input into the ring.
    private mutating func fill(
        _ memory: borrowing SendMemory, _ source: inout PayloadSource?,
        _ consumer: inout PayloadConsumer, hasInput: Bool
    ) throws(DevmemError) {
        guard !inputEnded, ring.room > 0, hasInput || isAtHand(source, consumer) else { return }
        let place = ring.fillable(limit: chunk)
        let position = ring.filled
        let capacity = ring.capacity
        let hasClosed = peerClosed
        let filled = try memory.withWritableBytes {
            bytes throws(DevmemError) -> PayloadSource.Filled in
            let part = UnsafeMutableRawBufferPointer(
                rebasing: bytes[place.offset..<place.offset + place.count])
            if let filled = try source?.fill(part, position: position, capacity: capacity) {
                return filled
            }
            let count = consumer.echo?.move(to: part) ?? 0
            return count > 0 ? .bytes(count) : hasClosed ? .end : .wouldBlock
        }
        counts.inputCalls = inputCalls(source)
        switch filled {
        case .bytes(let count):
            ring.fill(count)
            gathering.arrived(count, at: monotonicTime())
        case .wouldBlock: break
        case .end: inputEnded = true
        }
    }

    private func inputCalls(_ source: borrowing PayloadSource?) -> UInt64 {
        switch source {
        case .some(let given): given.calls
        case .none: 0
        }
    }

    /// Whether what is unsent had better wait for more.
    private var isGathering: Bool {
        !isDue && !inputEnded && ring.room > 0 && gathering.isWorthWaiting(with: ring.unsent)
    }

    /// Sends what there is; returns whether the socket takes no more.
    private mutating func send(
        _ connection: borrowing Connection, _ memory: borrowing SendMemory
    ) throws(DevmemError) -> Bool {
        defer { isDue = false }
        while ring.unsent > 0 && !isGathering {
            switch try memory.send(
                ring.sendable(limit: chunk), inPiecesOf: piece, over: connection)
            {
            case .bytes(let count):
                ring.send(count)
                counts.sendCalls += 1
                counts.sentBytes += UInt64(count)
                if memory.isDevice {
                    ledger.sent(upTo: ring.sent)
                } else {
                    ring.free(upTo: ring.sent)
                }
            case .wouldBlock: return true
            case .noBuffers:
                counts.bufferWaits += 1
                guard ledger.outstanding > 0 else {
                    throw DevmemError(
                        .system, call: "send to \(connection.peer)", errno: .noBufferSpace,
                        advice: "sysctl net.core.optmem_max=1048576")
                }
                return false
            }
        }
        return false
    }

    /// Takes in which sends are done.
    private mutating func collect(
        _ connection: borrowing Connection, isDevice: Bool
    ) throws(DevmemError) {
        while isDevice, let completion = try connection.completion(control: control.bytes) {
            counts.completions += 1
            if completion.isCopied { counts.copiedSends += UInt64(completion.count) }
            try ledger.complete(completion)
        }
        ring.free(upTo: max(ledger.freed, ring.freed))
        // Completions may come because the connection itself failed. Once sending has ended it takes
        // more to tell whether that matters.
        if !sendingEnded, let error = connection.pendingError() {
            throw connection.deliveryError(error)
        }
    }

    private func isReady(_ input: Int32?) throws(DevmemError) -> Bool {
        guard !inputEnded, let input else { return false }
        return try DevmemCore.poll(input, for: .input, milliseconds: 0)
    }

    private func number(of watch: borrowing CompletionWatch?) -> Int32? {
        switch watch {
        case .some(let made): made.rawValue
        case .none: nil
        }
    }

    /// What may happen next.
    private struct Ways {
        var input: Int32?
        var isInputAtHand: Bool
        var receives: Bool
        var isFull: Bool
    }

    private enum Polled {
        case ready(socket: Int16, input: Bool)
        case timeout
        case stopped(by: Int32)
    }

    /// Waits for what matters now.
    private func poll(
        _ connection: borrowing Connection, _ ways: Ways, _ stop: borrowing StopSignal,
        timeout: Int32
    ) throws(DevmemError) -> Polled {
        let isGathering = !ways.isFull && isGathering
        // A socket that is full needs no more than this at hand.
        let hasEnough = ways.isFull && gathering.isEnough(ring.unsent)
        var watched = (
            pollfd(fd: stop.rawValue ?? -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection.rawValue, events: 0, revents: 0),
            pollfd(fd: -1, events: Int16(POLLIN), revents: 0)
        )
        if ways.receives { watched.1.events = Int16(POLLIN) }
        if ring.unsent > 0 && ways.isFull { watched.1.events |= Int16(POLLOUT) }
        if !inputEnded && ring.room > 0 && !isGathering && !hasEnough {
            watched.2.fd = ways.input ?? -1
        }
        if let watch = number(of: closing) {
            // The input has ended by now. A connection that has too always has something to tell.
            watched.2.fd = isDelivered ? -1 : watch
            if peerClosed { watched.1.fd = -1 }
        }
        var time: UInt64?
        if isGathering {
            // Completions would only wake it early; an echo's input is the connection itself.
            if ways.input != nil { watched.1.fd = -1 }
            time = gathering.wait(with: ring.unsent)
        } else if ways.isInputAtHand && !ways.isFull {
            // Signals and completions are looked at all the same.
            time = 0
        } else if timeout >= 0 {
            time = UInt64(timeout) * 1_000_000
        }
        let start = time.map { $0 > 0 } ?? false ? monotonicTime() : 0
        var left = time
        while true {
            let count = try retrying("wait") { wait(for: &watched, nanoseconds: left) }
            if watched.0.revents != 0, let signal = stop.pending() { return .stopped(by: signal) }
            if count == 0 { return .timeout }
            guard count == 1 && watched.0.revents != 0 else { break }
            // What was looked at stops nothing, and the wait is no longer for it.
            if let time, time > 0 { left = time - min(time, monotonicTime() - start) }
        }
        guard number(of: closing) != nil else {
            return .ready(socket: watched.1.revents, input: watched.2.revents != 0)
        }
        if watched.2.revents != 0 {
            closing?.clear()
            watched.1.revents |= Int16(POLLERR)
        }
        return .ready(socket: watched.1.revents, input: false)
    }
}

/// Waits as ppoll(2) does, for any time if none is given.
private func wait(
    for watched: inout (pollfd, pollfd, pollfd), nanoseconds: UInt64?
) -> Int32 {
    withUnsafeMutableBytes(of: &watched) { raw in
        let first = raw.assumingMemoryBound(to: pollfd.self).baseAddress
        guard let nanoseconds else { return cdm_ppoll(first, 3, nil) }
        var time = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        return cdm_ppoll(first, 3, &time)
    }
}

import Glibc

/// Sends a stream from a ring of memory: fills ahead while sends are in flight, frees what the
/// kernel no longer needs, and takes what comes back.
struct PayloadSender: ~Copyable {
    /// Why sending ended.
    enum End: Equatable {
        /// Everything is sent and acknowledged, and the peer has closed its direction.
        case finished
        /// Everything is sent and acknowledged; the peer did not close in the time it was given.
        case peerStillOpen
        /// A signal came.
        case stopped(by: Int32)
    }

    /// Less than this is not worth a send of its own while others are in flight: each costs a
    /// fragment of a packet, of which there are few.
    private static let worthSending = 64 << 10
    /// How long input may gather then, in milliseconds.
    private static let gatheringTime: Int32 = 1

    private(set) var counts = TransmitReport.Counts()
    private var ring: SendRing
    private var ledger = SendLedger()
    private let chunk: Int
    private let buffers = ReceiveBuffers()
    private var inputEnded = false
    private var sendingEnded = false
    /// Whether what gathered has waited long enough.
    private var isDue = false
    private(set) var peerClosed = false

    /// - Parameters:
    ///   - capacity: bytes of the ring.
    ///   - chunk: the most bytes that one send takes, and one look at the input brings.
    init(capacity: Int, chunk: Int) {
        ring = SendRing(capacity: capacity)
        self.chunk = min(chunk, capacity)
    }

    /// Sends until everything is acknowledged and the peer has closed, or a signal comes.
    ///
    /// - Parameter wait: milliseconds that the peer has for closing once everything is
    ///   acknowledged; negative for any time.
    mutating func run(
        _ connection: borrowing Connection, memory: borrowing SendMemory,
        source: inout PayloadSource, consumer: inout PayloadConsumer, wait: Int32,
        stop: borrowing StopSignal, progress: (UInt64) -> Void
    ) throws(DevmemError) -> End {
        var input = false
        var isFull = false
        while true {
            if !inputEnded && ring.room > 0 && (input || source.rawValue == nil) {
                try fill(memory, &source)
            }
            isFull = try send(connection, memory)
            progress(counts.sentBytes)
            if inputEnded && ring.unsent == 0 && !sendingEnded {
                try connection.finishSending()
                sendingEnded = true
            }
            let isAcknowledged = sendingEnded && ring.freed == ring.filled
            if isAcknowledged && peerClosed { return .finished }

            let polled = try poll(
                connection, source, stop, isFull: isFull, wait: isAcknowledged ? wait : -1)
            switch polled {
            case .stopped(let signal): return .stopped(by: signal)
            case .timeout:
                if isAcknowledged { return .peerStillOpen }
                isDue = isGathering
                input = try isReady(source)
            case .ready(let socket, let hasInput):
                input = hasInput
                if socket & Int16(POLLERR) != 0 {
                    try collect(connection, isDevice: memory.isDevice)
                }
                if socket & Int16(POLLIN | POLLHUP) != 0 && !peerClosed {
                    if let signal = try receive(connection, &consumer, stop) {
                        return .stopped(by: signal)
                    }
                }
            }
        }
    }

    /// Puts one look at the input into the ring.
    private mutating func fill(
        _ memory: borrowing SendMemory, _ source: inout PayloadSource
    ) throws(DevmemError) {
        let place = ring.fillable(limit: chunk)
        let position = ring.filled
        let capacity = ring.capacity
        let filled = try memory.withWritableBytes { bytes throws(DevmemError) in
            try source.fill(
                UnsafeMutableRawBufferPointer(
                    rebasing: bytes[place.offset..<place.offset + place.count]),
                position: position, capacity: capacity)
        }
        counts.inputCalls = source.calls
        switch filled {
        case .bytes(let count): ring.fill(count)
        case .wouldBlock: break
        case .end: inputEnded = true
        }
    }

    /// Whether what is unsent had better wait for more.
    private var isGathering: Bool {
        !isDue && !inputEnded && ring.unsent > 0 && ring.unsent < Self.worthSending && ring.room > 0
            && ledger.outstanding > 0
    }

    /// Sends what there is; returns whether the socket takes no more.
    private mutating func send(
        _ connection: borrowing Connection, _ memory: borrowing SendMemory
    ) throws(DevmemError) -> Bool {
        defer { isDue = false }
        while ring.unsent > 0 && !isGathering {
            switch try memory.send(ring.sendable(limit: chunk), over: connection) {
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
        var found = false
        while isDevice, let completion = try connection.completion(control: buffers.control) {
            found = true
            counts.completions += 1
            if completion.isCopied { counts.copiedSends += UInt64(completion.count) }
            try ledger.complete(completion)
        }
        ring.free(upTo: max(ledger.freed, ring.freed))
        // Otherwise it is the connection itself that failed.
        if !found, let error = connection.pendingError() {
            throw DevmemError(
                .system, call: "send to \(connection.peer)", errno: error,
                advice: "the peer gave up before the stream ended")
        }
    }

    /// Takes what the peer sends.
    private mutating func receive(
        _ connection: borrowing Connection, _ consumer: inout PayloadConsumer,
        _ stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        switch try connection.receiveHost(into: buffers.data) {
        case .wouldBlock: return nil
        case .end:
            peerClosed = true
            return nil
        case .bytes(let count, _):
            counts.receivedBytes += UInt64(count)
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            return try consumer.take(
                [PayloadExtents.Extent(source: .host, offset: 0, length: count)], device: none,
                host: UnsafeRawBufferPointer(buffers.data), stop: stop)
        }
    }

    private func isReady(_ source: borrowing PayloadSource) throws(DevmemError) -> Bool {
        guard !inputEnded, let number = source.rawValue else { return !inputEnded }
        var watched = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        return try retrying("look at the input") { Glibc.poll(&watched, 1, 0) } > 0
    }

    private enum Polled {
        case ready(socket: Int16, hasInput: Bool)
        case timeout
        case stopped(by: Int32)
    }

    /// Waits for what matters now.
    private func poll(
        _ connection: borrowing Connection, _ source: borrowing PayloadSource,
        _ stop: borrowing StopSignal, isFull: Bool, wait: Int32
    ) throws(DevmemError) -> Polled {
        let isGathering = isGathering
        let wantsInput = !inputEnded && ring.room > 0 && !isGathering
        var timeout = isGathering ? Self.gatheringTime : wait
        // A pattern needs no waiting for, but signals and completions are looked at all the same.
        if wantsInput && source.rawValue == nil && !isFull { timeout = 0 }
        var events: Int32 = peerClosed ? 0 : POLLIN
        if ring.unsent > 0 && isFull { events |= POLLOUT }
        var watched = [
            pollfd(fd: stop.rawValue ?? -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection.rawValue, events: Int16(events), revents: 0),
            pollfd(
                fd: wantsInput ? source.rawValue ?? -1 : -1, events: Int16(POLLIN), revents: 0),
        ]
        let count = try retrying("wait") { Glibc.poll(&watched, 3, timeout) }
        if watched[0].revents != 0, let signal = stop.pending() { return .stopped(by: signal) }
        if count == 0 { return .timeout }
        return .ready(socket: watched[1].revents, hasInput: watched[2].revents != 0)
    }
}

import CDevmem
import Glibc
import SystemPackage

/// Receives the payload of one connection by io_uring, in device or ordinary memory, and passes it
/// to a sink. It has the interface of `PayloadReceiver`.
struct ZerocopyReceiver: ~Copyable {
    /// What the next call does.
    private enum State: Equatable {
        /// Submit the request.
        case idle
        /// Take the request's completions.
        case armed
        /// Receive what is not in device memory, up to what is; the flag says whether any came.
        case draining(Bool)
        case ended
        /// Throw: the request has failed, and the sink has what came before.
        case failed(Errno)
    }

    /// The counts so far; a call is one batch of completions.
    private(set) var counts = ReceiveCounts()
    private var payload: ReceivedPayload
    private let buffers = ReceiveBuffers()
    private var ring: ZerocopyRing
    private let memory: BoundMemory
    private let isDeviceOnly: Bool
    private var state = State.idle
    /// The fragments of the current batch, which the sink may still read.
    private var fragments: [ZerocopyFragment] = []

    /// The most completions in one batch. The kernel gives 150 to 260 at once.
    private static let batch: UInt32 = 1024
    /// While payload keeps arriving, the stop signal is checked once in this number of calls.
    private static let callsPerStopCheck: UInt64 = 16

    /// Creates a receiver for one connection, to be used by this thread only.
    ///
    /// - Parameters:
    ///   - queue: the queue, whose ring this receiver takes and closes.
    ///   - memory: the dma-buf.
    ///   - isDeviceOnly: whether payload outside device memory is an error.
    /// - Throws: `DevmemError` of kind `invalid` if the ring is taken, `system` if the kernel
    ///   refuses to enable it.
    init(
        _ queue: ZerocopyQueue, _ memory: BoundMemory, isDeviceOnly: Bool
    ) throws(DevmemError) {
        guard let ring = queue.take() else {
            throw DevmemError(
                .invalid, call: "receive by io_uring", message: "another connection has the queue")
        }
        try ring.ring.enable()
        self.ring = ring
        self.memory = memory
        self.isDeviceOnly = isDeviceOnly
        payload = ReceivedPayload(
            capacity: Int(Self.batch), host: UnsafeRawBufferPointer(buffers.data))
        fragments.reserveCapacity(Int(Self.batch))
    }

    /// Receives until the peer closes its direction or a signal arrives; see
    /// `PayloadReceiver.run`.
    mutating func run<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal,
        limits: StreamLimits, progress: (UInt64) -> Void
    ) throws(DevmemError) -> PayloadReceiver.End {
        let end: PayloadReceiver.End
        do throws(DevmemError) {
            end = try receiveAll(connection, &sink, stop, limits, progress)
        } catch {
            try? sink.finish()
            throw error
        }
        try sink.finish()
        return end
    }

    private mutating func receiveAll<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ stop: borrowing StopSignal,
        _ limits: StreamLimits, _ progress: (UInt64) -> Void
    ) throws(DevmemError) -> PayloadReceiver.End {
        var coalescer = ReceiveCoalescer(memory: memory.dmabuf.size)
        while true {
            switch try step(connection, into: &sink, until: stop) {
            case .end: return .peerClosed
            case .stopped(let signal): return .stopped(by: signal)
            case .bytes(let count):
                coalescer.received(count)
                progress(counts.bytes)
                if counts.receiveCalls % Self.callsPerStopCheck == 0, let signal = stop.pending() {
                    return .stopped(by: signal)
                }
            case .nothing:
                let limit = try coalescer.prepare(connection)
                let wait = try stop.wait(
                    for: ring.ring.rawValue, events: Int32(POLLIN),
                    milliseconds: limit ?? limits.idle)
                if case .stopped(let signal) = wait { return .stopped(by: signal) }
                guard wait == .timeout else { continue }
                if limit == nil { throw idleError(connection.peer, limits.idle) }
                // The kernel does not receive for the request what is below SO_RCVLOWAT.
                try coalescer.end(connection)
            }
        }
    }

    /// Receives one batch without blocking and passes it to the sink; see `PayloadReceiver.step`.
    mutating func step<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        let needs = sink.needs
        let step = try receive(connection, listing: needs != .nothing)
        guard case .bytes = step else {
            if step == .end { try sink.finish() }
            return step
        }
        if needs != .nothing, let signal = try payload.hand(to: &sink, needs, memory, stop) {
            return .stopped(by: signal)
        }
        if isDeviceOnly { try counts.rejectHostPayload(from: connection.peer) }
        try release()
        return step
    }

    /// Receives one batch; does not depend on the type of the sink.
    private mutating func receive(
        _ connection: borrowing Connection, listing: Bool
    ) throws(DevmemError) -> StreamStep {
        payload.removeAll(socket: -1)
        while true {
            switch state {
            case .ended: return .end
            case .failed(let code): throw Self.failure(code, connection.peer)
            case .draining(let hasBegun):
                if let step = try drain(connection, hasBegun) { return step }
            case .idle, .armed:
                if state == .idle {
                    try ring.arm(socket: connection.rawValue)
                    state = .armed
                }
                let count = try collect(connection, listing: listing)
                if count > 0 {
                    counts.receiveCalls += 1
                    return .bytes(count)
                }
                if state == .armed { return .nothing }
            }
        }
    }

    /// Takes the completions at hand, and lets the kernel make more if there are none.
    ///
    /// - Returns: the number of payload bytes.
    private mutating func collect(
        _ connection: borrowing Connection, listing: Bool
    ) throws(DevmemError) -> Int {
        if let count = try take(connection, listing: listing) { return count }
        try ring.ring.enter()
        return try take(connection, listing: listing) ?? 0
    }

    /// - Returns: the number of payload bytes; nil if there are no completions.
    private mutating func take(
        _ connection: borrowing Connection, listing: Bool
    ) throws(DevmemError) -> Int? {
        var batch = Batch(state: state)
        let taken = try Self.take(
            ring, memory.dmabuf.size, &batch, &fragments, &payload.list, listing)
        guard taken > 0 else { return nil }
        state = batch.state
        counts.fragments += UInt64(fragments.count)
        counts.deviceBytes += UInt64(batch.bytes)
        return batch.bytes
    }

    /// What a batch of completions says.
    private struct Batch {
        var state: State
        var bytes = 0
    }

    private static func take(
        _ ring: borrowing ZerocopyRing, _ size: UInt64, _ batch: inout Batch,
        _ fragments: inout [ZerocopyFragment], _ list: inout PayloadExtents, _ listing: Bool
    ) throws(DevmemError) -> Int {
        let token = ring.token
        return try ring.ring.takeCompletions(atMost: Self.batch) { completion throws(DevmemError) in
            switch try ZerocopyCompletion(completion, token: token, size: size) {
            case .fragment(let fragment):
                fragments.append(fragment)
                batch.bytes += fragment.length
                if listing {
                    list.append(.device, offset: fragment.offset, length: fragment.length)
                }
            case .end: batch.state = .ended
            case .full: batch.state = .idle
            case .outside: batch.state = .draining(false)
            case .failed(let code): batch.state = .failed(code)
            }
        }
    }

    private static func failure(_ code: Errno, _ peer: Endpoint) -> DevmemError {
        let error = DevmemError(.system, call: "receive from \(peer) by io_uring", errno: code)
        guard code == .badAddress else { return error.explainingDisconnect() }
        return error.advising("payload arrived on another queue than the one that io_uring has")
    }

    /// Receives payload outside device memory, which stands before what is in device memory.
    ///
    /// - Returns: nil if the request must go on.
    private mutating func drain(
        _ connection: borrowing Connection, _ hasBegun: Bool
    ) throws(DevmemError) -> StreamStep? {
        let result: Connection.Received
        do throws(DevmemError) {
            result = try connection.receiveHost(into: buffers.data)
        } catch {
            guard error.errno == .badAddress || error.errno == .operationNotSupportedByDevice else {
                throw error
            }
            // Device memory is next.
            guard !hasBegun else {
                state = .idle
                return nil
            }
            throw DevmemError(
                .unsupported, call: "receive from \(connection.peer) by io_uring",
                errno: error.errno,
                message: "the NIC left payload beside a packet's headers",
                advice: "the socket engine receives such payload")
        }
        switch result {
        case .bytes(let count, _):
            state = .draining(true)
            counts.receiveCalls += 1
            counts.ordinaryBytes += UInt64(count)
            payload.list.append(.host, offset: 0, length: count)
            return .bytes(count)
        case .wouldBlock:
            guard hasBegun else {
                // Nothing is outside device memory: the kernel itself is short of memory.
                throw Self.failure(.noMemory, connection.peer)
            }
            state = .idle
            return nil
        case .end:
            state = .ended
            return .end
        }
    }

    /// Returns the memory of the batch to the NIC, with one entry for each completion.
    private mutating func release() throws(DevmemError) {
        guard !fragments.isEmpty else { return }
        try ring.reserve(UInt32(clamping: fragments.count))
        for fragment in fragments { ring.put(fragment) }
        ring.publish()
        fragments.removeAll(keepingCapacity: true)
    }
}

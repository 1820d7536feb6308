import CDevmem
import Glibc

/// The result of one receive call.
public enum StreamStep: Equatable, Sendable {
    /// The number of payload bytes.
    case bytes(Int)
    /// No data is available.
    case nothing
    /// The peer has closed its direction.
    case end
    /// A signal arrived while the sink was handling payload.
    case stopped(by: Int32)
}

/// How long a stream waits: timeouts in milliseconds, of which negative numbers mean none, and busy
/// polling.
public struct StreamLimits: Equatable, Sendable {
    /// How long a stream may be idle before that is an error.
    public var idle: Int32
    /// How long the peer may take to close its direction once it has acknowledged all data.
    public var closing: Int32
    /// How long an idle stream polls its NIC before the thread sleeps, in microseconds; nil for no
    /// busy polling. It trades a processor for lower latency, and needs Linux 6.9.
    public var busyPoll: UInt32?

    /// Creates limits from their values.
    public init(idle: Int32 = -1, closing: Int32 = -1, busyPoll: UInt32? = nil) {
        self.idle = idle
        self.closing = closing
        self.busyPoll = busyPoll
    }
}

/// Receives the payload of one connection, in device or ordinary memory, and passes it to a sink.
///
/// If io_uring receives, all calls must be on one thread, which also ends the life of this value;
/// do that before the NIC is released, as the ring holds its queue.
public struct PayloadReceiver: ~Copyable {
    /// Why the connection ended.
    public enum End: Equatable, Sendable {
        /// The peer has closed its direction.
        case peerClosed
        /// A signal arrived.
        case stopped(by: Int32)
    }

    /// The counts so far.
    public private(set) var counts = ReceiveCounts()
    private(set) var payload: ReceivedPayload
    private var tokens = TokenBatch()
    private let buffers = ReceiveBuffers()
    private let memory: BoundMemory?
    private let isDeviceOnly: Bool
    /// The most bytes of unread payload in io_uring's ring; nil for no limit.
    private let share: UInt64?
    /// What io_uring receives; none before the first call, which makes it for its thread.
    private var zerocopy: ZerocopyStream?

    /// While payload keeps arriving, the stop signal is checked once in this number of calls.
    private static let callsPerStopCheck: UInt64 = 16

    /// Creates a receiver for one connection.
    ///
    /// - Parameters:
    ///   - memory: the bound dma-buf, which connections may share; nil to receive without device
    ///     memory.
    ///   - isDeviceOnly: whether payload outside device memory is an error.
    public init(_ memory: BoundMemory?, isDeviceOnly: Bool = false) {
        self.init(memory, isDeviceOnly: isDeviceOnly, share: nil)
    }

    /// Creates a receiver for one of several connections.
    ///
    /// - Parameters:
    ///   - memory: the bound dma-buf; nil to receive without device memory.
    ///   - isDeviceOnly: whether payload outside device memory is an error.
    ///   - share: the memory in bytes that unread payload may hold beside the receive buffer; nil for
    ///     no limit.
    package init(_ memory: BoundMemory?, isDeviceOnly: Bool, share: UInt64?) {
        self.memory = memory
        self.isDeviceOnly = isDeviceOnly
        self.share = share
        let queues = memory?.zerocopy
        // One more than fits, for bytes without a control message.
        let capacity =
            if memory == nil {
                1
            } else if queues == nil {
                ReceiveBuffers.controlSize / Int(cdm_cmsg_space_dmabuf) + 1
            } else {
                Int(ZerocopyStream.batch)
            }
        payload = ReceivedPayload(
            capacity: capacity, host: UnsafeRawBufferPointer(buffers.data), memory: memory)
    }

    /// Whether the next step does something without waiting for the connection.
    package var isReady: Bool { zerocopy?.isReady ?? false }

    /// Does what takes privileges, and drops those of this thread for good: it moves payload from now
    /// on. The thread keeps CAP_NET_ADMIN, but not in effect, if io_uring has several queues, between
    /// which a connection can move.
    ///
    /// - Parameter connection: the connection; the same in each call.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses.
    mutating func dropPrivileges(before connection: borrowing Connection) throws(DevmemError) {
        try join(connection)
        try dropCapabilities(inReserve: memory?.capabilities ?? [])
    }

    /// Joins the connection's queue of io_uring, if that receives; does nothing the second time.
    package mutating func join(_ connection: borrowing Connection) throws(DevmemError) {
        guard zerocopy == nil, let queues = memory?.zerocopy else { return }
        zerocopy = try ZerocopyStream(queues, for: connection, share: share)
    }

    /// Receives until the peer closes its direction or a signal arrives.
    ///
    /// - Parameters:
    ///   - connection: the connection.
    ///   - sink: the sink for the payload.
    ///   - stop: the signals.
    ///   - limits: the timeouts; `closing` is not used.
    ///   - progress: called after each receive call with the number of payload bytes so far.
    /// - Returns: why the connection ended.
    /// - Throws: `DevmemError` of kind `system` if the connection fails or is idle for too long,
    ///   `malformed` or `unsupported` like `step`, or an error of the sink.
    public mutating func run<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal,
        limits: StreamLimits = StreamLimits(), progress: (UInt64) -> Void = { _ in }
    ) throws(DevmemError) -> End {
        let end: End
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
    ) throws(DevmemError) -> End {
        var coalescer = ReceiveCoalescer(memory: memory?.dmabuf.size ?? .max)
        var poller = try BusyPoller(
            microseconds: limits.busyPoll, keeping: [stop.rawValue, connection.rawValue])
        let needs = sink.needs
        while true {
            switch try step(connection, into: &sink, needing: needs, until: stop) {
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
                    for: connection.rawValue, events: Int32(POLLIN),
                    milliseconds: limit ?? limits.idle, by: &poller)
                if case .stopped(let signal) = wait { return .stopped(by: signal) }
                guard wait == .timeout else { continue }
                if limit == nil { throw idleError(connection.peer, limits.idle) }
                // io_uring leaves alone what is below SO_RCVLOWAT.
                if memory?.zerocopy != nil { try coalescer.end(connection) }
            }
        }
    }

    /// Receives once without blocking and passes the payload to the sink.
    ///
    /// - Parameters:
    ///   - connection: the connection; the same in each call.
    ///   - sink: the sink for the payload.
    ///   - stop: the signals that end a wait in the sink.
    /// - Returns: the result of the call.
    /// - Throws: `DevmemError` of kind `system` if the connection fails, `malformed` if the
    ///   kernel's control messages do not account for the payload, `unsupported` for payload
    ///   outside device memory if that is an error, or an error of the sink.
    public mutating func step<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        try step(connection, into: &sink, needing: sink.needs, until: stop)
    }

    /// Does the same for a sink whose needs are known.
    mutating func step<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, needing needs: PayloadNeeds,
        until stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        let step = try receive(connection, listing: needs != .nothing)
        guard case .bytes = step else {
            if step == .end { try sink.finish() }
            return step
        }
        if needs != .nothing, let signal = try payload.hand(to: &sink, needs, stop) {
            return .stopped(by: signal)
        }
        if isDeviceOnly { try counts.rejectHostPayload(from: connection.peer) }
        try release(connection)
        return step
    }

    /// Makes one receive call; does not depend on the type of the sink.
    private mutating func receive(
        _ connection: borrowing Connection, listing: Bool
    ) throws(DevmemError) -> StreamStep {
        guard let memory else { return try receiveHost(connection) }
        try join(connection)
        if let stream = zerocopy {
            payload.removeAll(socket: -1)
            return try stream.receive(
                connection, into: &payload, buffers.data, &counts, listing: listing)
        }
        switch try connection.receive(data: buffers.data, control: buffers.control) {
        case .end:
            try returnTokens(connection)
            return .end
        case .wouldBlock:
            // Return memory that the queue may need before this thread sleeps.
            try returnTokens(connection)
            return .nothing
        case .bytes(let count, let controlLength):
            counts.receiveCalls += 1
            payload.removeAll(socket: connection.rawValue)
            let control = UnsafeRawBufferPointer(rebasing: buffers.control[..<controlLength])
            try collect(count, control, memory, connection, listing: listing)
            return .bytes(count)
        }
    }

    private mutating func receiveHost(
        _ connection: borrowing Connection
    ) throws(DevmemError) -> StreamStep {
        switch try connection.receiveHost(into: buffers.data) {
        case .end: return .end
        case .wouldBlock: return .nothing
        case .bytes(let count, _):
            counts.receiveCalls += 1
            counts.ordinaryBytes += UInt64(count)
            payload.removeAll(socket: connection.rawValue)
            payload.list.append(.host, offset: 0, length: count)
            return .bytes(count)
        }
    }

    /// Parses one call's control messages into extents, if `listing` is set, and tokens.
    mutating func collect(
        _ count: Int, _ control: UnsafeRawBufferPointer, _ memory: BoundMemory,
        _ connection: borrowing Connection, listing: Bool
    ) throws(DevmemError) {
        var parser = ControlMessageParser(dmabufID: memory.id, dmabufSize: memory.dmabuf.size)
        var linear = 0
        var device = 0
        var fragments: UInt64 = 0
        var run = TokenRun()
        while let message = try parser.next(in: control.bytes) {
            switch message {
            case .device(let offset, let length, let token):
                if listing {
                    payload.list.append(.device, offset: Int(offset), length: Int(length))
                }
                device += Int(length)
                fragments += 1
                if let ended = run.append(token) { payload.tokens.append(ended) }
            case .linear(let length):
                payload.list.append(.host, offset: linear, length: Int(length))
                linear += Int(length)
            }
        }
        counts.fragments += fragments
        if let ended = run.end() { payload.tokens.append(ended) }
        if control.isEmpty {
            payload.list.append(.host, offset: 0, length: count)
            counts.ordinaryBytes += UInt64(count)
            return
        }
        guard device + linear == count, linear <= buffers.data.count else {
            throw DevmemError(
                .malformed, call: "receive from \(connection.peer)",
                message: "control messages account for \(device + linear) of \(count) bytes")
        }
        counts.deviceBytes += UInt64(device)
        counts.linearBytes += UInt64(linear)
    }

    /// Returns the fragments of the call to io_uring's queues, or moves its tokens to the batch, which
    /// is returned whenever it is full.
    private mutating func release(_ connection: borrowing Connection) throws(DevmemError) {
        if let queues = memory?.zerocopy {
            if !payload.fragments.isEmpty { try queues.giveBack(&payload.fragments) }
            return
        }
        var counts = counts
        defer { self.counts = counts }
        let number = connection.rawValue
        try tokens.append(&payload.tokens) { batch throws(DevmemError) in
            try Self.returnTokens(&batch, to: number, &counts)
        }
    }

    private mutating func returnTokens(_ connection: borrowing Connection) throws(DevmemError) {
        try Self.returnTokens(&tokens, to: connection.rawValue, &counts)
    }

    private static func returnTokens(
        _ batch: inout TokenBatch, to socket: Int32, _ counts: inout ReceiveCounts
    ) throws(DevmemError) {
        guard !batch.isEmpty else { return }
        counts.tokenCalls += 1
        counts.tokenRanges += UInt64(batch.rangeCount)
        try batch.returnTokens(to: socket)
    }
}

/// Returns the error for an idle connection.
func idleError(_ peer: Endpoint, _ milliseconds: Int32) -> DevmemError {
    DevmemError(
        .system, call: "receive from \(peer)", errno: .timedOut,
        message: "nothing came for \(Double(milliseconds) / 1000) s")
}

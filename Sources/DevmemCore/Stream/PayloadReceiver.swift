import CDevmem
import Glibc

/// Takes one connection's payload out of device memory until its end.
package struct PayloadReceiver: ~Copyable {
    /// How a connection ended.
    package enum End: Equatable {
        case peerClosed
        case stopped(by: Int32)
    }

    private(set) var counts = ReceiveCounts()
    private var extents: PayloadExtents
    /// Tokens of the call in hand: its fragments are the NIC's again only once they are consumed.
    private var held: [TokenBatch.Range] = []
    private var tokens = TokenBatch()
    private let buffers = ReceiveBuffers()
    private let dmabufID: UInt32
    private let isDeviceOnly: Bool

    /// Calls between two looks at the stop signal while payload keeps coming.
    private static let callsPerLook: UInt64 = 16

    /// - Parameters:
    ///   - dmabufID: the binding's id.
    ///   - isDeviceOnly: whether payload elsewhere is an error.
    init(dmabufID: UInt32, isDeviceOnly: Bool) {
        self.dmabufID = dmabufID
        self.isDeviceOnly = isDeviceOnly
        // One more than fit, for bytes without a control message.
        let capacity = ReceiveBuffers.controlSize / Int(cdm_cmsg_space_dmabuf) + 1
        extents = PayloadExtents(capacity: capacity)
        held.reserveCapacity(capacity)
    }

    /// Receives until the peer has sent everything or a signal comes. No payload for `idleLimit`
    /// milliseconds is an error; a negative number lets any time pass.
    mutating func run(
        _ connection: borrowing Connection, memory: borrowing DmabufMemory,
        consumer: inout PayloadConsumer, idleLimit: Int32, stop: borrowing StopSignal,
        progress: (UInt64) -> Void
    ) throws(DevmemError) -> End {
        var gathering = ReceiveCoalescer(memory: memory.size)
        while true {
            switch try take(from: connection, memory: memory, consumer: &consumer, stop: stop) {
            case .end: return .peerClosed
            case .stopped(let signal): return .stopped(by: signal)
            case .bytes(let count):
                gathering.took(count)
                progress(counts.bytes)
                if counts.receiveCalls % Self.callsPerLook == 0, let signal = stop.pending() {
                    return .stopped(by: signal)
                }
            case .nothing:
                let limit = try gathering.prepare(connection)
                let wait = try stop.wait(
                    for: connection.rawValue, events: Int32(POLLIN),
                    milliseconds: limit ?? idleLimit)
                if case .stopped(let signal) = wait { return .stopped(by: signal) }
                if wait == .timeout && limit == nil {
                    throw idleError(connection.peer, idleLimit)
                }
            }
        }
    }

    /// Receives once and hands on what came.
    mutating func take(
        from connection: borrowing Connection, memory: borrowing DmabufMemory,
        consumer: inout PayloadConsumer, stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        switch try connection.receive(data: buffers.data, control: buffers.control) {
        case .end:
            try giveBack(connection)
            return .end
        case .wouldBlock:
            // What the queue waits for must be back before this end sleeps.
            try giveBack(connection)
            return .nothing
        case .bytes(let count, let controlLength):
            counts.receiveCalls += 1
            try collect(
                count, UnsafeRawBufferPointer(rebasing: buffers.control[..<controlLength]),
                memory.size, connection, isRead: consumer.readsPayload)
            if let signal = try consume(memory, &consumer, stop) { return .stopped(by: signal) }
            if isDeviceOnly { try refuseOthers(connection) }
            try release(connection)
            return .bytes(count)
        }
    }

    /// Parses one call's control messages into stretches of payload, if they are read, and tokens to
    /// give back.
    private mutating func collect(
        _ count: Int, _ control: UnsafeRawBufferPointer, _ size: UInt64,
        _ connection: borrowing Connection, isRead: Bool
    ) throws(DevmemError) {
        extents.removeAll()
        var parser = ControlMessageParser(dmabufID: dmabufID, dmabufSize: size)
        var linear = 0
        var device = 0
        var fragments: UInt64 = 0
        var run = TokenRun()
        while let piece = try parser.next(in: control.bytes) {
            switch piece {
            case .device(let offset, let length, let token):
                if isRead { extents.append(.device, offset: Int(offset), length: Int(length)) }
                device += Int(length)
                fragments += 1
                if let ended = run.append(token) { held.append(ended) }
            case .linear(let length):
                extents.append(.host, offset: linear, length: Int(length))
                linear += Int(length)
            }
        }
        counts.fragments += fragments
        if let ended = run.end() { held.append(ended) }
        if control.isEmpty {
            extents.append(.host, offset: 0, length: count)
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

    /// Refuses the call in hand if it brought the first payload outside device memory.
    private func refuseOthers(_ connection: borrowing Connection) throws(DevmemError) {
        let others = counts.linearBytes + counts.ordinaryBytes
        guard others > 0 else { return }
        throw DevmemError(
            .unsupported, call: "receive from \(connection.peer)",
            message: "\(others) bytes arrived outside device memory, "
                + (counts.linearBytes > 0 ? "in a packet's head" : "as on any socket")
                + ", after \(counts.deviceBytes) bytes in it",
            advice: "header split or the flow rule did not work for this packet")
    }

    /// Hands the stretches on; the CPU's view of the dma-buf is opened only if it is looked at.
    private mutating func consume(
        _ memory: borrowing DmabufMemory, _ consumer: inout PayloadConsumer,
        _ stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        guard consumer.readsPayload else { return nil }
        let host = UnsafeRawBufferPointer(buffers.data)
        guard extents.hasDeviceBytes else {
            return try consumer.take(
                extents.extents, device: UnsafeRawBufferPointer(start: nil, count: 0), host: host,
                stop: stop)
        }
        return try memory.withDeviceBytes { device throws(DevmemError) in
            try consumer.take(extents.extents, device: device, host: host, stop: stop)
        }
    }

    /// Moves the tokens of consumed fragments to the batch, which goes back whenever it is full.
    private mutating func release(_ connection: borrowing Connection) throws(DevmemError) {
        for run in held {
            var left: TokenBatch.Range? = run
            while let rest = left {
                left = tokens.append(rest)
                if left != nil { try giveBack(connection) }
            }
        }
        held.removeAll(keepingCapacity: true)
    }

    private mutating func giveBack(_ connection: borrowing Connection) throws(DevmemError) {
        guard !tokens.isEmpty else { return }
        counts.tokenCalls += 1
        counts.tokenRanges += UInt64(tokens.rangeCount)
        try connection.giveBack(&tokens)
    }
}

import Glibc

/// What one look at a stream brought.
package enum StreamStep: Equatable {
    /// Payload, so many bytes of it.
    case bytes(Int)
    /// Nothing now.
    case nothing
    /// The peer has sent everything.
    case end
    /// Nothing, as a signal came while payload was handed on.
    case stopped(by: Int32)
}

/// Takes what a peer sends while something is sent to it.
package protocol StreamReceiver: ~Copyable {
    /// Receives once, without waiting, and hands on what came.
    mutating func take(
        from connection: borrowing Connection, consumer: inout PayloadConsumer,
        stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep
}

/// Receives as on any TCP socket.
package struct HostReceiver: StreamReceiver, ~Copyable {
    private let buffers = ReceiveBuffers()

    package init() {}

    package mutating func take(
        from connection: borrowing Connection, consumer: inout PayloadConsumer,
        stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        switch try connection.receiveHost(into: buffers.data) {
        case .wouldBlock: return .nothing
        case .end: return .end
        case .bytes(let count, _):
            let signal = try consumer.take(
                [PayloadExtents.Extent(source: .host, offset: 0, length: count)],
                device: UnsafeRawBufferPointer(start: nil, count: 0),
                host: UnsafeRawBufferPointer(buffers.data), stop: stop)
            return signal.map { .stopped(by: $0) } ?? .bytes(count)
        }
    }
}

/// Receives from device memory that several connections may share.
package struct DeviceReceiver: StreamReceiver, ~Copyable {
    private let bound: BoundMemory
    private var receiver: PayloadReceiver

    package init(_ bound: BoundMemory, isDeviceOnly: Bool = false) {
        self.bound = bound
        receiver = PayloadReceiver(dmabufID: bound.id, isDeviceOnly: isDeviceOnly)
    }

    package var counts: ReceiveCounts { receiver.counts }

    package mutating func take(
        from connection: borrowing Connection, consumer: inout PayloadConsumer,
        stop: borrowing StopSignal
    ) throws(DevmemError) -> StreamStep {
        try receiver.take(
            from: connection, memory: bound.dmabuf, consumer: &consumer, stop: stop)
    }

    /// Receives until the peer has sent everything or a signal comes.
    package mutating func run(
        _ connection: borrowing Connection, consumer: inout PayloadConsumer, idleLimit: Int32,
        stop: borrowing StopSignal, progress: (UInt64) -> Void
    ) throws(DevmemError) -> PayloadReceiver.End {
        try receiver.run(
            connection, memory: bound.dmabuf, consumer: &consumer, idleLimit: idleLimit,
            stop: stop, progress: progress)
    }
}

/// The error of a connection on which nothing happens.
func idleError(_ peer: Endpoint, _ milliseconds: Int32) -> DevmemError {
    DevmemError(
        .system, call: "receive from \(peer)", errno: .timedOut,
        message: "nothing came for \(Double(milliseconds) / 1000) s")
}

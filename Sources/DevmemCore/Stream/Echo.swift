/// A queue of bytes from an `EchoSink` to an `EchoSource` on the same thread. It holds at most one
/// receive call's payload, because the source stops receiving while it is not empty.
package final class EchoQueue {
    private var bytes: [UInt8] = []
    private var start = 0
    /// Whether the peer has closed its direction.
    fileprivate(set) var isClosed = false

    /// Creates an empty queue.
    package init() {}

    /// Whether the queue is empty.
    var isEmpty: Bool { start == bytes.count }

    func append(_ more: UnsafeRawBufferPointer) {
        if isEmpty {
            bytes.removeAll(keepingCapacity: true)
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Moves as many bytes as fit and returns their number.
    func move(to memory: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(memory.count, bytes.count - start)
        memory.copyBytes(from: bytes[start..<start + count])
        start += count
        return count
    }
}

/// Queues payload for an `EchoSource`, which sends it back.
package struct EchoSink: SessionSink {
    private let queue: EchoQueue

    /// Creates a sink that fills a queue.
    package init(_ queue: EchoQueue) {
        self.queue = queue
    }

    package var needs: PayloadNeeds { .bytes }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        for extent in payload.extents { queue.append(payload.bytes(of: extent)) }
        return nil
    }

    package mutating func finish() throws(DevmemError) { queue.isClosed = true }
}

/// Sends the bytes that an `EchoSink` has queued, until the peer closes its direction.
package struct EchoSource: PayloadSource {
    private let queue: EchoQueue

    /// Creates a source that drains a queue.
    package init(_ queue: EchoQueue) {
        self.queue = queue
    }

    package var isReady: Bool { !queue.isEmpty || queue.isClosed }
    /// The number of bytes of an echo that are sent at once.
    package var coalescingTarget: Int { 64 << 10 }
    package var pausesReceiving: Bool { !queue.isEmpty }

    package mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput {
        let count = queue.move(to: memory)
        return count > 0 ? .bytes(count) : queue.isClosed ? .end : .wouldBlock
    }
}

/// Bytes on their way from an `EchoSink` to an `EchoSource` of the same thread. Bounded by the source,
/// which has nothing received while there are any: one receive call's worth.
package final class EchoQueue {
    private var bytes: [UInt8] = []
    private var start = 0
    /// Whether the peer has ended its stream.
    fileprivate(set) var isClosed = false

    /// An empty queue.
    package init() {}

    /// Whether there are none.
    var isEmpty: Bool { start == bytes.count }

    func append(_ more: UnsafeRawBufferPointer) {
        if isEmpty {
            bytes.removeAll(keepingCapacity: true)
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Moves as many as fit and returns how many.
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

    /// Makes a sink that fills a queue.
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

/// Sends what an `EchoSink` has queued, until the peer ends its stream.
package struct EchoSource: PayloadSource {
    private let queue: EchoQueue

    /// Makes a source that empties a queue.
    package init(_ queue: EchoQueue) {
        self.queue = queue
    }

    package var isAtHand: Bool { !queue.isEmpty || queue.isClosed }
    /// As many bytes of an echo are worth a send.
    package var coalescingTarget: Int { 64 << 10 }
    package var holdsReceived: Bool { !queue.isEmpty }

    package mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPlace
    ) throws(DevmemError) -> PayloadInput {
        let count = queue.move(to: memory)
        return count > 0 ? .bytes(count) : queue.isClosed ? .end : .wouldBlock
    }
}

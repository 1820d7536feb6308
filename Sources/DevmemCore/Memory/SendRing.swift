/// Where in a ring of memory a stream is filled, sent and freed; positions count bytes of the stream
/// from its start. Pure.
package struct SendRing: Equatable, Sendable {
    /// A stretch of the ring.
    package struct Stretch: Equatable, Sendable {
        var offset: Int
        var count: Int

        package init(offset: Int, count: Int) {
            self.offset = offset
            self.count = count
        }

        /// The first pieces of it, of at most so many bytes each.
        func pieces(of size: Int, atMost limit: Int) -> [Stretch] {
            stride(from: 0, to: count, by: size).prefix(limit).map {
                Stretch(offset: offset + $0, count: min(size, count - $0))
            }
        }
    }

    /// Bytes in the ring.
    let capacity: Int
    private(set) var filled: UInt64 = 0
    private(set) var sent: UInt64 = 0
    private(set) var freed: UInt64 = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Bytes that are in the ring and not yet sent.
    var unsent: Int { Int(filled - sent) }

    /// Bytes that there is room for.
    var room: Int { capacity - Int(filled - freed) }

    /// The next stretch in one piece to fill; empty if there is no room.
    func fillable(limit: Int) -> Stretch {
        let offset = Int(filled % UInt64(capacity))
        return Stretch(offset: offset, count: min(room, capacity - offset, limit))
    }

    mutating func fill(_ count: Int) {
        precondition(count <= room, "the ring is full")
        filled += UInt64(count)
    }

    /// The stretches to send next, two where it goes around the end of the ring.
    func sendable(limit: Int) -> (first: Stretch, second: Stretch) {
        let count = min(unsent, limit)
        let offset = Int(sent % UInt64(capacity))
        let first = min(count, capacity - offset)
        return (Stretch(offset: offset, count: first), Stretch(offset: 0, count: count - first))
    }

    mutating func send(_ count: Int) {
        precondition(count <= unsent, "nothing left to send")
        sent += UInt64(count)
    }

    /// Frees what stands before a position.
    mutating func free(upTo position: UInt64) {
        precondition(position >= freed && position <= sent, "not sent")
        freed = position
    }
}

/// The positions in a ring of memory up to which a stream was filled, sent and freed, in bytes from
/// the start of the stream. Pure.
package struct SendRing: Equatable, Sendable {
    /// A contiguous range of the ring.
    package struct Stretch: Equatable, Sendable {
        var offset: Int
        var count: Int

        package init(offset: Int, count: Int) {
            self.offset = offset
            self.count = count
        }

        /// Splits the range into at most `limit` ranges of up to `size` bytes each.
        func pieces(of size: Int, atMost limit: Int) -> [Stretch] {
            stride(from: 0, to: count, by: size).prefix(limit).map {
                Stretch(offset: offset + $0, count: min(size, count - $0))
            }
        }
    }

    /// The size of the ring in bytes.
    let capacity: Int
    private(set) var filled: UInt64 = 0
    private(set) var sent: UInt64 = 0
    private(set) var freed: UInt64 = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// The number of bytes filled and not yet sent.
    var unsent: Int { Int(filled - sent) }

    /// The number of free bytes.
    var room: Int { capacity - Int(filled - freed) }

    /// Returns the next contiguous range to fill; empty if the ring is full.
    func fillable(limit: Int) -> Stretch {
        let offset = Int(filled % UInt64(capacity))
        return Stretch(offset: offset, count: min(room, capacity - offset, limit))
    }

    mutating func fill(_ count: Int) {
        precondition(count <= room, "the ring is full")
        filled += UInt64(count)
    }

    /// Returns the next ranges to send; two if they wrap around the end of the ring.
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

    /// Frees the memory before a position.
    mutating func free(upTo position: UInt64) {
        precondition(position >= freed && position <= sent, "not sent")
        freed = position
    }
}

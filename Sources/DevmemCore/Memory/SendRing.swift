/// The positions in a ring of memory up to which a stream was filled, sent and freed, in bytes from
/// the start of the stream. Pure.
package struct SendRing: Equatable, Sendable {
    /// The size of the ring in bytes.
    let capacity: Int
    private(set) var filled: UInt64 = 0
    private(set) var sent: UInt64 = 0
    private(set) var freed: UInt64 = 0
    /// The distance from a position's place in the ring to its payload; not zero only for payload
    /// that was named in place.
    private var shift = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// The number of bytes filled and not yet sent.
    var unsent: Int { Int(filled - sent) }

    /// The number of bytes that fit.
    var room: Int { max(0, capacity - Int(filled - freed)) }

    /// The next contiguous range to fill; empty if there is no room.
    func fillable(limit: Int) -> MemoryRange {
        let offset = Int(filled % UInt64(capacity))
        return MemoryRange(offset: offset, count: min(room, capacity - offset, limit))
    }

    mutating func fill(_ count: Int) {
        precondition(count <= room, "the ring is full")
        filled += UInt64(count)
    }

    /// Counts a range that already holds payload as filled, once everything before it is sent. The
    /// owner of the memory is then responsible for not overwriting it.
    ///
    /// - Returns: false if the memory contains no such range.
    mutating func fillInPlace(_ extent: MemoryRange) -> Bool {
        guard unsent == 0, (0..<capacity).contains(extent.offset),
            (1...capacity).contains(extent.count)
        else { return false }
        shift = (extent.offset - Int(filled % UInt64(capacity)) + capacity) % capacity
        filled += UInt64(extent.count)
        return true
    }

    /// The ranges to send next, two where they go around the end of the ring.
    func sendable(limit: Int) -> (first: MemoryRange, second: MemoryRange) {
        let count = min(unsent, limit)
        let offset = (Int(sent % UInt64(capacity)) + shift) % capacity
        let first = min(count, capacity - offset)
        return (
            MemoryRange(offset: offset, count: first), MemoryRange(offset: 0, count: count - first)
        )
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

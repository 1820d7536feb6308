/// A range of the ring, which may go around its end.
public struct MemoryRange: Equatable, Sendable {
    /// Bytes from the start of the memory.
    public var offset: Int
    /// Bytes.
    public var count: Int

    /// Makes a range from its values.
    public init(offset: Int, count: Int) {
        self.offset = offset
        self.count = count
    }

    /// The first pieces of it, of at most so many bytes each.
    func pieces(of size: Int, atMost limit: Int) -> [MemoryRange] {
        stride(from: 0, to: count, by: size).prefix(limit).map {
            MemoryRange(offset: offset + $0, count: min(size, count - $0))
        }
    }
}

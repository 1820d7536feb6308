/// A range of bytes of the memory.
public struct MemoryRange: Equatable, Sendable {
    /// Bytes from the start of the memory.
    public var offset: Int
    /// The number of bytes.
    public var count: Int

    /// Creates a range from its values.
    public init(offset: Int, count: Int) {
        self.offset = offset
        self.count = count
    }

    /// Returns its first chunks of a size in bytes, of which the last may be shorter.
    func chunks(of size: Int, atMost limit: Int) -> [MemoryRange] {
        stride(from: 0, to: count, by: size).prefix(limit).map {
            MemoryRange(offset: offset + $0, count: min(size, count - $0))
        }
    }
}

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

    /// Whether it lies in memory of a size in bytes.
    func isWithin(_ size: Int) -> Bool {
        offset >= 0 && count >= 0 && offset <= size && count <= size - offset
    }

    /// Returns what of it lies in a part of the memory, from the start of that part; nil for nothing.
    func clipped(to part: Range<Int>) -> MemoryRange? {
        let first = max(offset, part.lowerBound)
        let end = min(offset + count, part.upperBound)
        return first < end ? MemoryRange(offset: first - part.lowerBound, count: end - first) : nil
    }

    /// Joins ranges that follow each other: a copy costs a GPU's driver microseconds. Pure.
    static func joined(_ ranges: [MemoryRange]) -> [MemoryRange] {
        var joined: [MemoryRange] = []
        for range in ranges {
            if let last = joined.last, last.offset + last.count == range.offset {
                joined[joined.count - 1].count += range.count
            } else {
                joined.append(range)
            }
        }
        return joined
    }

    /// Returns its first chunks of a size in bytes, of which the last may be shorter.
    func chunks(of size: Int, atMost limit: Int) -> [MemoryRange] {
        stride(from: 0, to: count, by: size).prefix(limit).map {
            MemoryRange(offset: offset + $0, count: min(size, count - $0))
        }
    }
}

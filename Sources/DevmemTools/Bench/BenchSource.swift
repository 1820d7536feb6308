import DevmemCore

/// A repeating pattern in memory that is filled once, so that sending is all that it costs. Flows share
/// the memory: none of them ever writes to it again.
struct BenchSource: PayloadSource {
    /// The pattern's period that `FarEndRequest` has, in pages: a whole number of both.
    private static let unit = FarEndRequest.period * 4096
    /// Bytes of memory that a thread sends from.
    static let memorySize = unit * 4

    /// The position in the stream up to which this end may send; the last one for the end of it.
    var allowance: UInt64
    /// Bytes of a message, which one send takes.
    let message: Int

    /// Fills memory with the pattern.
    static func fill(_ memory: borrowing SendMemory) throws(DevmemError) {
        let block = PatternBlock(try Pattern("\(FarEndRequest.period)"))
        try memory.withWritableBytes { block.copy(from: 0, to: $0) }
    }

    var isInPlace: Bool { true }

    /// Names a message, or what may be sent of one; one longer than the memory goes in several sends.
    mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput {
        guard place.position < allowance else { return .wouldBlock }
        let count = Int(min(UInt64(min(message, place.capacity)), allowance - place.position))
        return .range(
            MemoryRange(offset: Int(place.position % UInt64(place.capacity)), count: count))
    }
}

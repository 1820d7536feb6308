import DevmemCore

/// A source that sends a repeating pattern from memory that is filled once, so that sending is the
/// only cost. Flows share the memory, because none of them writes to it again.
struct BenchSource: PayloadSource {
    /// A multiple of both the pattern's period (`ValidationPeerRequest.period`) and the page size.
    private static let unit = ValidationPeerRequest.period * 4096
    /// The size of a thread's memory to send from, in bytes.
    static let memorySize = unit * 4

    /// The stream position up to which this side may send; the maximum value for no limit.
    var allowance: UInt64
    /// The number of bytes per send.
    let message: Int

    /// Fills memory with the pattern.
    static func fill(_ memory: borrowing SendMemory) throws(DevmemError) {
        try memory.fill(with: try Pattern("\(ValidationPeerRequest.period)"))
    }

    var isInPlace: Bool { true }

    /// Returns the range of the next message, cut to the allowance and the memory; a longer message
    /// takes several sends.
    mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput {
        guard place.position < allowance else { return .wouldBlock }
        let count = Int(min(UInt64(min(message, place.capacity)), allowance - place.position))
        return .range(
            MemoryRange(offset: Int(place.position % UInt64(place.capacity)), count: count))
    }
}

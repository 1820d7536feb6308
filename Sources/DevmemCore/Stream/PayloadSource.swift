/// The result of reading a source.
public enum PayloadInput: Equatable, Sendable {
    /// The number of bytes written to the given memory.
    case bytes(Int)
    /// A range of the memory, of at least one byte, that already holds payload; it may wrap around
    /// the end of the memory.
    case range(MemoryRange)
    /// No input is available.
    case wouldBlock
    /// The source has ended.
    case end

    /// The number of bytes written.
    var count: Int { if case .bytes(let count) = self { count } else { 0 } }
}

/// The position in the stream, and the size of the ring, at which a source writes.
public struct RingPosition: Equatable, Sendable {
    /// The number of bytes of the stream before this position.
    public var position: UInt64
    /// The size of the ring in bytes.
    public var capacity: Int

    /// Creates a position from its values.
    public init(position: UInt64, capacity: Int) {
        self.position = position
        self.capacity = capacity
    }
}

/// A source of payload to send. It writes payload to the memory to send from, or names ranges that
/// already hold payload.
public protocol PayloadSource: ~Copyable {
    /// The descriptor to poll for input; nil if there is none.
    var inputDescriptor: Int32? { get }
    /// Whether reading does not block: there is input, or the source has ended.
    var isReady: Bool { get }
    /// The number of bytes of input that are sent at once; 0 turns coalescing off.
    var coalescingTarget: Int { get }
    /// Whether to stop receiving until more is sent, so that an echo does not grow.
    var pausesReceiving: Bool { get }
    /// Whether `fill` names ranges that already hold payload, and writes nothing.
    var isInPlace: Bool { get }

    /// Returns how many bytes of the memory to use as a ring.
    func ringCapacity(of memory: Int) -> Int

    /// Reads the source once without blocking.
    ///
    /// - Parameters:
    ///   - memory: the memory to write to; empty if the source names ranges.
    ///   - place: the position of that memory in the stream.
    /// - Returns: the input, or why there is none.
    /// - Throws: `DevmemError` if the source fails; this ends the stream.
    mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput

    /// Called when the memory of the stream before a position is free again.
    mutating func freed(upTo position: UInt64)
}

extension PayloadSource where Self: ~Copyable {
    /// Nil: there is no descriptor.
    public var inputDescriptor: Int32? { nil }
    /// True without a descriptor.
    public var isReady: Bool { inputDescriptor == nil }
    /// Zero: input is not coalesced.
    public var coalescingTarget: Int { 0 }
    /// False: receiving never stops.
    public var pausesReceiving: Bool { false }
    /// False: `fill` writes payload.
    public var isInPlace: Bool { false }
    /// Returns all of the memory.
    public func ringCapacity(of memory: Int) -> Int { memory }
    /// Does nothing.
    public mutating func freed(upTo position: UInt64) {}
}

/// Sends a repeated pattern.
package struct PatternSource: PayloadSource {
    private let block: PatternBlock
    /// The number of bytes left.
    package private(set) var remaining: UInt64

    /// Creates a source.
    ///
    /// - Parameters:
    ///   - pattern: the pattern.
    ///   - bytes: the number of bytes to send.
    package init(_ pattern: Pattern, bytes: UInt64) {
        block = PatternBlock(pattern)
        remaining = bytes
    }

    /// Returns a multiple of the period, so that each byte of the ring is written only once.
    public func ringCapacity(of memory: Int) -> Int { memory / block.period * block.period }

    /// Writes the pattern in the first round of the ring; later rounds reuse it.
    public mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput {
        guard remaining > 0 else { return .end }
        let count = Int(min(UInt64(memory.count), remaining))
        // In later rounds the ring already holds the pattern.
        if place.position < UInt64(place.capacity) {
            block.copy(
                from: place.position, to: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
        }
        remaining -= UInt64(count)
        return .bytes(count)
    }
}

/// Sends payload that is already in memory, such as the results of a GPU.
public struct RangeSource: PayloadSource, Sendable {
    private var ranges: ArraySlice<MemoryRange>
    /// The number of bytes of the stream whose memory is free again.
    public private(set) var freedBytes: UInt64 = 0

    /// Creates a source.
    ///
    /// - Parameter ranges: the ranges that hold payload, in stream order.
    public init(_ ranges: [MemoryRange]) {
        self.ranges = ranges[...]
    }

    /// True: the payload is already in memory.
    public var isInPlace: Bool { true }

    /// Returns the next range.
    public mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput {
        ranges.popFirst().map { .range($0) } ?? .end
    }

    /// Records that memory is free again.
    public mutating func freed(upTo position: UInt64) { freedBytes = position }
}

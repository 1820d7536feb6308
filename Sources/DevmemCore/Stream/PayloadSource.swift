/// What one look at a source brought.
public enum PayloadInput: Equatable {
    /// So many bytes, written to the memory that was offered.
    case bytes(Int)
    /// A range of the memory that holds payload already, of at least one byte; it may go around the end
    /// of the memory.
    case range(MemoryRange)
    /// Nothing now.
    case wouldBlock
    /// Nothing ever again.
    case end
}

/// Where in the stream, and in what ring of memory, a source is asked to write.
public struct RingPlace: Equatable, Sendable {
    /// Bytes of the stream before it.
    public var position: UInt64
    /// Bytes of the ring.
    public var capacity: Int

    /// Makes a place from its values.
    public init(position: UInt64, capacity: Int) {
        self.position = position
        self.capacity = capacity
    }
}

/// Where the payload that is sent comes from: it is written to the memory that is sent from, or lies
/// there already.
public protocol PayloadSource: ~Copyable {
    /// The descriptor to wait on for input; nil if there is none to wait for.
    var inputDescriptor: Int32? { get }
    /// Whether a look at the source needs no wait: there is input, or its end.
    var isAtHand: Bool { get }
    /// How many bytes of input are worth a send; zero for input that is never coalesced.
    var coalescingTarget: Int { get }
    /// Whether nothing may be received until more is sent, as of an echo, which would grow.
    var holdsReceived: Bool { get }
    /// Whether payload lies in the memory already, so that `fill` names ranges and writes nothing.
    var isInPlace: Bool { get }
    /// Calls of read(2) so far.
    var calls: UInt64 { get }

    /// How many bytes of memory to use as a ring.
    func ringCapacity(of memory: Int) -> Int

    /// Looks at the source once, without waiting.
    ///
    /// - Parameters:
    ///   - memory: where to write payload; empty if the source names ranges.
    ///   - place: what the memory is.
    /// - Returns: what there is.
    /// - Throws: `DevmemError` if there can be no more; it ends the stream.
    mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPlace
    ) throws(DevmemError) -> PayloadInput

    /// Called when the kernel has no more need of the memory of the stream before a position, which may
    /// then be written to.
    mutating func freed(upTo position: UInt64)
}

extension PayloadSource where Self: ~Copyable {
    /// No descriptor.
    public var inputDescriptor: Int32? { nil }
    /// Whether there is no descriptor to wait for.
    public var isAtHand: Bool { inputDescriptor == nil }
    /// Zero: input is sent at once.
    public var coalescingTarget: Int { 0 }
    /// False: payload is received at any time.
    public var holdsReceived: Bool { false }
    /// False: `fill` writes payload.
    public var isInPlace: Bool { false }
    /// Zero: nothing is read.
    public var calls: UInt64 { 0 }
    /// All of the memory.
    public func ringCapacity(of memory: Int) -> Int { memory }
    /// Does nothing.
    public mutating func freed(upTo position: UInt64) {}
}

/// Repeats a pattern.
package struct PatternSource: PayloadSource {
    private let block: PatternBlock
    /// Bytes that are still to come.
    package private(set) var remaining: UInt64

    /// Makes a source.
    ///
    /// - Parameters:
    ///   - pattern: one period.
    ///   - bytes: how many bytes in all.
    package init(_ pattern: Pattern, bytes: UInt64) {
        block = PatternBlock(pattern)
        remaining = bytes
    }

    /// A whole number of periods, so that each byte of the ring is written only once.
    public func ringCapacity(of memory: Int) -> Int { memory / block.period * block.period }

    /// Names the next range.
    public mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPlace
    ) throws(DevmemError) -> PayloadInput {
        guard remaining > 0 else { return .end }
        let count = Int(min(UInt64(memory.count), remaining))
        // In its second round the ring holds what it held in the first.
        if place.position < UInt64(place.capacity) {
            block.copy(
                from: place.position, to: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
        }
        remaining -= UInt64(count)
        return .bytes(count)
    }
}

/// Payload that lies in the memory already, as the results of a GPU.
public struct RangeSource: PayloadSource, Sendable {
    private var ranges: ArraySlice<MemoryRange>
    /// Bytes of the stream whose memory may be written to again.
    public private(set) var freedBytes: UInt64 = 0

    /// Makes a source.
    ///
    /// - Parameter ranges: where payload lies in the memory, in stream order.
    public init(_ ranges: [MemoryRange]) {
        self.ranges = ranges[...]
    }

    /// True: the payload lies in the memory.
    public var isInPlace: Bool { true }

    /// Names the next range.
    public mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPlace
    ) throws(DevmemError) -> PayloadInput {
        ranges.popFirst().map { .range($0) } ?? .end
    }

    /// Notes how much of the memory may be written to again.
    public mutating func freed(upTo position: UInt64) { freedBytes = position }
}

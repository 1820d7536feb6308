/// What one look at a source brought.
package enum PayloadInput: Equatable {
    /// So many bytes, written to the memory that was offered.
    case bytes(Int)
    /// A range of the memory that holds payload already, of at least one byte; it may go around the end
    /// of the memory.
    case range(SendRing.Extent)
    /// Nothing now.
    case wouldBlock
    /// Nothing ever again.
    case end
}

/// Where in the stream, and in what ring of memory, a source is asked to write.
package struct RingPlace: Equatable, Sendable {
    /// Bytes of the stream before it.
    package var position: UInt64
    /// Bytes of the ring.
    package var capacity: Int

    /// Makes a place from its values.
    package init(position: UInt64, capacity: Int) {
        self.position = position
        self.capacity = capacity
    }
}

/// Where the payload that is sent comes from: it is written to the memory that is sent from, or lies
/// there already.
package protocol PayloadSource: ~Copyable {
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
    package var inputDescriptor: Int32? { nil }
    package var isAtHand: Bool { inputDescriptor == nil }
    package var coalescingTarget: Int { 0 }
    package var holdsReceived: Bool { false }
    package var isInPlace: Bool { false }
    package var calls: UInt64 { 0 }
    package func ringCapacity(of memory: Int) -> Int { memory }
    package mutating func freed(upTo position: UInt64) {}
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
    package func ringCapacity(of memory: Int) -> Int { memory / block.period * block.period }

    package mutating func fill(
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
package struct RangeSource: PayloadSource {
    private var ranges: ArraySlice<SendRing.Extent>
    /// Bytes of the stream whose memory may be written to again.
    package private(set) var freedBytes: UInt64 = 0

    /// Makes a source.
    ///
    /// - Parameter ranges: where payload lies in the memory, in stream order.
    package init(_ ranges: [SendRing.Extent]) {
        self.ranges = ranges[...]
    }

    package var isInPlace: Bool { true }

    package mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPlace
    ) throws(DevmemError) -> PayloadInput {
        ranges.popFirst().map { .range($0) } ?? .end
    }

    package mutating func freed(upTo position: UInt64) { freedBytes = position }
}

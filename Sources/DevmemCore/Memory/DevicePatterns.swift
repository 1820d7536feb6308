package import Logging

/// A range of memory, and where in a stream its first byte is.
package struct PlacedRange: Equatable, Sendable {
    /// The range.
    package var range: MemoryRange
    /// The position in bytes from a place at which a pattern begins.
    package var position: UInt64

    /// Creates a range from its values.
    package init(_ range: MemoryRange, at position: UInt64) {
        self.range = range
        self.position = position
    }

    /// Returns what of it lies in a part of the memory, from the start of that part; nil for nothing.
    func clipped(to part: Range<Int>) -> PlacedRange? {
        range.clipped(to: part).map {
            PlacedRange($0, at: position + UInt64($0.offset + part.lowerBound - range.offset))
        }
    }
}

/// How memory differs from a pattern.
package struct PatternDifference: Equatable, Sendable {
    /// The number of bytes that differ.
    package var wrongBytes: UInt64 = 0
    /// The position of the first of them; the maximum value if there is none.
    package var position = UInt64.max
    /// That byte.
    package var found: UInt8 = 0

    /// Creates the difference of equal memory.
    package init() {}

    /// Adds the difference of other memory.
    mutating func add(_ other: PatternDifference) {
        wrongBytes += other.wrongBytes
        if other.position < position {
            position = other.position
            found = other.found
        }
    }
}

/// Compares and fills a device's memory where it is, with bytes that repeat.
protocol DevicePatterns: AnyObject, Sendable {
    /// Compares memory with a pattern.
    ///
    /// - Parameters:
    ///   - ranges: what to compare; a position is less than 2 to the power of 56.
    ///   - bytes: one period.
    /// - Returns: the difference.
    /// - Throws: `DevmemError` of kind `system` if the device fails.
    func compare(
        _ ranges: [PlacedRange], with bytes: [UInt8]
    ) throws(DevmemError) -> PatternDifference

    /// Fills memory with a pattern, and waits until that is done.
    ///
    /// - Parameters:
    ///   - ranges: what to fill; no two overlap.
    ///   - bytes: one period.
    /// - Throws: `DevmemError` of kind `system` if the device fails.
    func fill(_ ranges: [PlacedRange], with bytes: [UInt8]) throws(DevmemError)
}

extension DmabufMemory {
    /// Compares what the NIC wrote with a pattern on the device that has the memory.
    ///
    /// - Parameters:
    ///   - ranges: what to compare; asked for only if there is such a device.
    ///   - bytes: one period of the pattern.
    ///   - logger: logs once why a device cannot compare.
    /// - Returns: the difference; nil if the CPU has to compare.
    /// - Throws: `DevmemError` of kind `system` if the device fails.
    package borrowing func compare(
        _ ranges: @autoclosure () -> [PlacedRange], with bytes: [UInt8], _ logger: Logger
    ) throws(DevmemError) -> PatternDifference? {
        guard device(ofPart: 0) != nil else { return nil }
        let ranges = ranges()
        var difference = PatternDifference()
        for part in parts(of: ranges.map(\.range)) {
            guard let device = patterns(ofPart: part, bytes, logger) else { return nil }
            difference.add(try device.compare(cut(ranges, toPart: part), with: bytes))
        }
        return difference
    }

    /// Fills all of the memory with a pattern, from its beginning, on the device that has it.
    ///
    /// - Parameters:
    ///   - bytes: one period of the pattern.
    ///   - logger: logs once why a device cannot fill.
    /// - Returns: whether it is done; if not, the CPU has to.
    /// - Throws: `DevmemError` of kind `system` if the device fails.
    package borrowing func fill(
        with bytes: [UInt8], _ logger: Logger
    ) throws(DevmemError) -> Bool {
        let all = [PlacedRange(MemoryRange(offset: 0, count: length), at: 0)]
        for part in 0..<parts {
            guard let device = patterns(ofPart: part, bytes, logger) else { return false }
            try device.fill(cut(all, toPart: part), with: bytes)
        }
        return true
    }

    /// Prepares for `compare`, or for the CPU's access if that has to compare, so that the first
    /// payload does not take the time.
    ///
    /// - Parameters:
    ///   - bytes: one period of the pattern.
    ///   - logger: logs why a device cannot compare.
    /// - Throws: `DevmemError` of kind `system` if the memory cannot be mapped.
    package borrowing func prepareToCompare(
        with bytes: [UInt8], _ logger: Logger
    ) throws(DevmemError) {
        for part in 0..<parts where patterns(ofPart: part, bytes, logger) == nil {
            return try map()
        }
    }

    private borrowing func patterns(
        ofPart part: Int, _ bytes: [UInt8], _ logger: Logger
    ) -> (any DevicePatterns)? {
        do throws(DevmemError) {
            return try device(ofPart: part)?.patterns(with: bytes)
        } catch {
            logger.notice("the CPU compares and fills copies of the memory: \(error)")
            return nil
        }
    }

    private borrowing func cut(_ ranges: [PlacedRange], toPart part: Int) -> [PlacedRange] {
        guard parts > 1 else { return ranges }
        return ranges.compactMap { $0.clipped(to: place(ofPart: part)) }
    }
}

import Glibc

/// A byte pattern that repeats throughout a stream.
package struct Pattern: Equatable, Sendable {
    /// One period.
    package let bytes: [UInt8]

    /// Parses a pattern: a number N from 2 to 256 for the bytes 1 to N-1 and a newline, as in the
    /// kernel's ncdevmem, or `hex:` and an even number of hexadecimal digits.
    ///
    /// - Throws: `DevmemError` of kind `invalid` for any other text.
    package init(_ text: String) throws(DevmemError) {
        if let period = Int(text), (2...256).contains(period) {
            bytes = (1..<period).map { UInt8($0) } + [0x0a]
            return
        }
        let digits = text.hasPrefix("hex:") ? Array(text.dropFirst(4)) : []
        let pairs = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(digits[$0...$0 + 1]), radix: 16)
        }
        guard !pairs.isEmpty, pairs.count * 2 == digits.count,
            digits.allSatisfy(\.isHexDigit)
        else {
            throw DevmemError(
                .invalid, call: "read the pattern \"\(text)\"",
                advice: "write a period from 2 to 256, or hex: and pairs of digits")
        }
        bytes = pairs
    }
}

/// Several periods of a pattern, to copy or compare many bytes at once from any phase. Pure.
package struct PatternBlock: Sendable {
    /// The number of bytes in one period.
    let period: Int
    package let bytes: [UInt8]

    package init(_ pattern: Pattern) {
        period = pattern.bytes.count
        bytes = [UInt8]((0..<65536 / period + 2).lazy.flatMap { _ in pattern.bytes })
    }

    /// Fills memory with the pattern, starting from a stream position.
    package func copy(from position: UInt64, to memory: UnsafeMutableRawBufferPointer) {
        var phase = Int(position % UInt64(period))
        var done = 0
        while done < memory.count {
            let count = min(memory.count - done, bytes.count - phase)
            UnsafeMutableRawBufferPointer(rebasing: memory[done..<done + count])
                .copyBytes(from: bytes[phase..<phase + count])
            phase = (phase + count) % period
            done += count
        }
    }
}

/// Compares a stream incrementally with a pattern. Pure.
package struct PatternChecker: Sendable {
    /// A wrong byte.
    package struct Mismatch: Equatable, Sendable, Codable, CustomStringConvertible {
        /// The offset from the start of the stream, in bytes.
        package var offset: UInt64
        /// The expected byte.
        package var expected: UInt8
        /// The received byte.
        package var found: UInt8

        /// The offset and both bytes as a clause.
        package var description: String {
            "byte \(offset) of the stream is \(found), expected \(expected)"
        }
    }

    /// One period.
    let pattern: [UInt8]
    private var period: Int { pattern.count }
    private let block: [UInt8]
    /// The place in the pattern of the next byte.
    private(set) var phase = 0

    /// The number of bytes compared.
    package private(set) var checkedBytes: UInt64 = 0
    /// The number of bytes that differ.
    package private(set) var wrongBytes: UInt64 = 0
    /// The first byte that differs.
    package private(set) var firstMismatch: Mismatch?

    /// Creates a checker that starts at the beginning of the pattern.
    package init(_ pattern: Pattern) {
        self.pattern = pattern.bytes
        block = PatternBlock(pattern).bytes
    }

    /// Compares the next bytes of the stream.
    package mutating func check(_ bytes: UnsafeRawBufferPointer) {
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, block.count - phase)
            let part = UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
            if !matches(part) { note(part) }
            checkedBytes += UInt64(count)
            // A 32-bit division is faster, and the values fit.
            phase = Int(
                UInt32(truncatingIfNeeded: phase + count) % UInt32(truncatingIfNeeded: period))
            done += count
        }
    }

    /// Passes over bytes that a device compares, which `note` is told of.
    mutating func skip(_ count: Int) {
        checkedBytes += UInt64(count)
        phase = (phase + count) % period
    }

    /// Adds what a device found out.
    ///
    /// - Parameters:
    ///   - difference: the difference, with a position from the place where the pattern began.
    ///   - start: the position of that place in the stream, which for the first bytes may lie before
    ///     it, modulo 2 to the power of 64.
    mutating func note(_ difference: PatternDifference, from start: UInt64) {
        guard difference.wrongBytes > 0 else { return }
        wrongBytes += difference.wrongBytes
        let offset = start &+ difference.position
        if let firstMismatch, firstMismatch.offset < offset { return }
        firstMismatch = Mismatch(
            offset: offset, expected: pattern[Int(difference.position % UInt64(period))],
            found: difference.found)
    }

    private func matches(_ part: UnsafeRawBufferPointer) -> Bool {
        block.withUnsafeBytes { block in
            guard let expected = block.baseAddress, let found = part.baseAddress else {
                return true
            }
            return memcmp(expected + phase, found, part.count) == 0
        }
    }

    private mutating func note(_ part: UnsafeRawBufferPointer) {
        for (index, found) in part.enumerated() where found != block[phase + index] {
            wrongBytes += 1
            if firstMismatch == nil {
                firstMismatch = Mismatch(
                    offset: checkedBytes + UInt64(index), expected: block[phase + index],
                    found: found)
            }
        }
    }
}

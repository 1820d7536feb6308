import CDevmem
import Glibc
import SystemPackage

/// Fragments to return to the NIC in one call: a list of token ranges within the limits of
/// `sock_devmem_dontneed` (net/core/sock.c). Pure.
package struct TokenBatch: Sendable {
    /// The most ranges in one call.
    package static let maximumRanges = 128
    /// The most fragments in one call; the kernel silently ignores any further.
    package static let maximumFragments = 1024

    /// A range of consecutive token ids.
    package struct Range: Equatable, Sendable {
        /// The first id.
        package var start: UInt32
        /// The number of ids.
        package var count: UInt32

        package init(start: UInt32, count: UInt32) {
            self.start = start
            self.count = count
        }

        /// Returns whether an id is the next one, without wrapping at 32 bits.
        @inline(__always)
        func isContiguous(by id: UInt32) -> Bool { id > start && id - start == count }
    }

    private var storage: [128 of cdm_dmabuf_token] = .init(
        repeating: cdm_dmabuf_token(token_start: 0, token_count: 0))
    /// The number of ranges.
    package private(set) var rangeCount = 0
    /// The number of fragments in all ranges.
    package private(set) var fragmentCount = 0

    /// Creates an empty batch.
    package init() {}

    /// Whether the batch is empty.
    package var isEmpty: Bool { fragmentCount == 0 }

    /// Adds a token; extends the last range if the token is adjacent to it.
    ///
    /// - Returns: false if the batch is full and unchanged.
    @inline(__always)
    package mutating func append(_ token: UInt32) -> Bool {
        append(Range(start: token, count: 1)) == nil
    }

    /// Adds a range of tokens; extends the last range if they are adjacent.
    ///
    /// - Parameter run: at least one token; the last id is at most `UInt32.max`.
    /// - Returns: the tokens that did not fit; nil if all did.
    @inline(__always)
    package mutating func append(_ run: Range) -> Range? {
        var added = run
        added.count = min(UInt32(Self.maximumFragments - fragmentCount), run.count)
        let count = added.count
        guard count > 0 else { return run }
        var place = rangeCount
        if rangeCount > 0 {
            let token = storage[rangeCount - 1]
            let last = Range(start: token.token_start, count: token.token_count)
            if last.isContiguous(by: added.start) || added.isContiguous(by: last.start) {
                added = Range(start: min(last.start, added.start), count: last.count + count)
                place -= 1
            }
        }
        guard place < Self.maximumRanges else { return run }
        storage[place] = cdm_dmabuf_token(token_start: added.start, token_count: added.count)
        rangeCount = place + 1
        fragmentCount += Int(count)
        return count == run.count ? nil : Range(start: run.start + count, count: run.count - count)
    }

    /// Moves ranges of tokens to the batch.
    ///
    /// - Parameters:
    ///   - runs: the ranges; on failure those that are not in the batch remain.
    ///   - empty: called each time the batch is full; must empty it.
    /// - Throws: errors of `empty`.
    @inline(__always)
    mutating func append(
        _ runs: inout [Range], whenFull empty: (inout TokenBatch) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        var moved = 0
        defer { runs.removeFirst(moved) }
        while moved < runs.count {
            while let left = append(runs[moved]) {
                runs[moved] = left
                try empty(&self)
            }
            moved += 1
        }
    }

    /// Empties the batch.
    package mutating func removeAll() {
        rangeCount = 0
        fragmentCount = 0
    }

    /// The ranges, in the order of their addition.
    package var ranges: [Range] {
        (0..<rangeCount).map {
            Range(start: storage[$0].token_start, count: storage[$0].token_count)
        }
    }

    /// Lends the ranges as an array of `struct dmabuf_token`.
    func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        storage.span.withUnsafeBytes { all in
            body(
                UnsafeRawBufferPointer(
                    rebasing: all[..<(rangeCount * MemoryLayout<cdm_dmabuf_token>.stride)]))
        }
    }

    /// Returns the fragments to the NIC and empties the batch, which stays full only if the kernel
    /// refuses the call. Any thread may call it.
    ///
    /// - Parameter number: the socket on which the fragments were received.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `malformed` if it accepts
    ///   fewer fragments than the batch holds.
    mutating func returnTokens(to number: Int32) throws(DevmemError) {
        guard !isEmpty else { return }
        let operation = DevmemError.Operation(
            .returnTokens, "return \(fragmentCount) fragments to the NIC")
        // Unlike other options this one returns a number: the fragments accepted.
        let accepted = withUnsafeBytes { bytes -> Int32 in
            while true {
                let result = setsockopt(
                    number, SOL_SOCKET, DevmemSocketNumber.dontNeed, bytes.baseAddress,
                    socklen_t(bytes.count))
                if result >= 0 { return result }
                if errno != EINTR { return -errno }
            }
        }
        guard accepted >= 0 else {
            throw DevmemError(.system, operation, errno: Errno(rawValue: -accepted))
        }
        // The kernel reuses the ids that it accepted, so none may be returned again.
        defer { removeAll() }
        guard Int(accepted) == fragmentCount else {
            throw DevmemError(.malformed, operation, message: "the kernel accepted \(accepted)")
        }
    }
}

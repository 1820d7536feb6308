import CDevmem
import Glibc
import SystemPackage

/// A memory mapping in this process, with one owner; unmapped when it goes away.
package struct Mapping: ~Copyable, Sendable {
    // The users are responsible for the contents: the NIC may write to them at any time.
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer
    /// The length in bytes.
    package let count: Int

    /// Maps `count` bytes of a descriptor for reading and writing, and populates the pages.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    package init(
        _ descriptor: borrowing Descriptor, count: Int, offset: Int = 0
    ) throws(DevmemError) {
        try self.init(count, MAP_SHARED | MAP_POPULATE, descriptor.rawValue, offset)
    }

    /// Maps anonymous memory whose pages exist only once they are used.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    init(untouched count: Int) throws(DevmemError) {
        try self.init(count, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    }

    /// Maps anonymous memory.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    package init(anonymous count: Int) throws(DevmemError) {
        try self.init(count, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)
    }

    /// Reserves addresses, for mappings to be placed there.
    ///
    /// - Parameters:
    ///   - count: bytes.
    ///   - alignment: what the first address is a multiple of, itself a multiple of the page size.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    init(reserving count: Int, alignment: Int) throws(DevmemError) {
        let size = count.addingReportingOverflow(alignment)
        let found = mmap(
            nil, size.overflow ? .max : size.partialValue, PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let found, found != MAP_FAILED else {
            throw Self.failure(count)
        }
        let past = Int(bitPattern: found) % alignment
        let first = past == 0 ? 0 : alignment - past
        if first > 0 { munmap(found, first) }
        munmap(found + first + count, alignment - first)
        base = found + first
        self.count = count
    }

    /// Moves a mapping into this one.
    ///
    /// - Parameters:
    ///   - part: the mapping.
    ///   - offset: where it goes, as aligned as its pages are.
    /// - Throws: `DevmemError` of kind `invalid` if it does not fit, `system` with the `errno` of
    ///   mremap(2).
    mutating func place(_ part: consuming Mapping, at offset: Int) throws(DevmemError) {
        guard offset >= 0, offset <= count, part.count <= count - offset else {
            throw DevmemError(
                .invalid, call: "map \(part.count) bytes of memory", message: "they do not fit")
        }
        try part.move(to: base + offset)
    }

    private consuming func move(to place: UnsafeMutableRawPointer) throws(DevmemError) {
        guard cdm_mremap(base, count, place) != MAP_FAILED else {
            let error = Self.failure(count)
            drop(self)
            throw error
        }
        discard self
    }

    private static func failure(_ count: Int) -> DevmemError {
        DevmemError(.system, call: "map \(count) bytes of memory", errno: Errno(rawValue: errno))
    }

    private init(
        _ count: Int, _ flags: Int32, _ number: Int32, _ offset: Int
    ) throws(DevmemError) {
        let base = mmap(nil, count, PROT_READ | PROT_WRITE, flags, number, offset)
        guard let base, base != MAP_FAILED else {
            throw Self.failure(count)
        }
        self.base = base
        self.count = count
    }

    deinit {
        munmap(base, count)
    }

    /// The memory, which must not be used after this value's life.
    var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    /// Lends the memory; the pointer must not outlive the closure.
    package borrowing func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Lends the memory for writing; the pointer must not outlive the closure.
    package borrowing func withUnsafeMutableBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeMutableRawBufferPointer(start: base, count: count))
    }

    /// Reads a number that the kernel writes; what it wrote before that number is then visible.
    ///
    /// - Parameter offset: where the number lies, a multiple of 4 within the mapping.
    /// - Returns: the number.
    borrowing func loadAcquiring(at offset: Int) -> UInt32 { cdm_load_acquire(base + offset) }

    /// Writes a number that the kernel reads; it then also sees what was written before.
    ///
    /// - Parameters:
    ///   - value: the number.
    ///   - offset: where the number lies, a multiple of 4 within the mapping.
    borrowing func storeReleasing(_ value: UInt32, at offset: Int) {
        cdm_store_release(base + offset, value)
    }
}

/// Ends the life of a mapping here and not later.
func drop(_ mapping: consuming Mapping) {}

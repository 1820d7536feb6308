import CDevmem
import Glibc
import SystemPackage

/// Writes a stream to a file with O_DIRECT (open(2)). Aligned blocks are written from their place
/// in memory, the rest through an aligned buffer. If the kernel refuses, it continues through the
/// page cache.
struct DirectWriter: ~Copyable {
    /// The alignment of memory, offset and length that O_DIRECT requires, in bytes.
    static let alignment = 4096
    private static let bufferSize = 1 << 20
    /// The most iovec entries in one writev(2) call (UIO_MAXIOV of linux/uio.h).
    static let maximumVectors = 1024

    /// The number of bytes written from the dma-buf without a copy.
    private(set) var directBytes: UInt64 = 0
    private let number: Int32
    private let name: String
    private let buffer: Mapping
    private var buffered = 0
    private var vectors: [iovec] = []
    private var writesAlignedBlocks = true
    /// Whether the file still bypasses the page cache.
    private(set) var isDirect = true

    /// - Parameters:
    ///   - number: a file opened with O_DIRECT, at its start; the caller keeps ownership.
    ///   - name: the name in errors.
    /// - Throws: `DevmemError` of kind `system` if the buffer cannot be allocated.
    init(to number: Int32, name: String) throws(DevmemError) {
        self.number = number
        self.name = name
        buffer = try Mapping(anonymous: Self.bufferSize)
        vectors.reserveCapacity(Self.maximumVectors)
    }

    /// Writes part of the stream; the bytes must stay in place until `flush()`.
    mutating func write(_ bytes: UnsafeRawBufferPointer) throws(DevmemError) {
        let isAligned =
            Int(bitPattern: bytes.baseAddress) % Self.alignment == 0
            && buffered % Self.alignment == 0
        let whole =
            isAligned && writesAlignedBlocks ? bytes.count - bytes.count % Self.alignment : 0
        if whole > 0 {
            if buffered > 0 { try flushBuffer(buffered) }
            if vectors.count == Self.maximumVectors { try flush() }
            let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
            vectors.append(iovec(iov_base: base, iov_len: whole))
        }
        guard whole < bytes.count else { return }
        try flush()
        try appendToBuffer(UnsafeRawBufferPointer(rebasing: bytes[whole...]))
    }

    /// Writes the queued blocks; buffered bytes stay.
    mutating func flush() throws(DevmemError) {
        while !vectors.isEmpty {
            let count = vectors.withUnsafeBufferPointer {
                writev(number, $0.baseAddress, Int32($0.count))
            }
            if count < 0 {
                let code = Errno(rawValue: errno)
                if code == .interrupted { continue }
                guard code == .invalidArgument || code == .badAddress else {
                    throw DevmemError(.system, call: "write to \(name)", errno: code)
                }
                // Some dma-buf mappings cannot be read by the file system.
                writesAlignedBlocks = false
                let blocks = vectors
                vectors.removeAll(keepingCapacity: true)
                for block in blocks {
                    try appendToBuffer(
                        UnsafeRawBufferPointer(start: block.iov_base, count: block.iov_len))
                }
                return
            }
            if isDirect { directBytes += UInt64(count) }
            try advance(by: count)
        }
    }

    /// Writes all remaining bytes; call it last.
    mutating func finish() throws(DevmemError) {
        try flush()
        try flushBuffer(buffered - buffered % Self.alignment)
        guard buffered > 0 else { return }
        try disableDirectIO()
        try flushBuffer(buffered)
    }

    private mutating func advance(by count: Int) throws(DevmemError) {
        if Self.remove(count, from: &vectors) % Self.alignment != 0 { try disableDirectIO() }
    }

    /// Removes what is written from the beginning of a list. Pure.
    ///
    /// - Returns: the number of bytes written of the entry that is then first.
    static func remove(_ count: Int, from vectors: inout [iovec]) -> Int {
        var left = count
        while let first = vectors.first, left >= first.iov_len {
            left -= first.iov_len
            vectors.removeFirst()
        }
        guard let base = vectors.first?.iov_base else { return 0 }
        vectors[0] = iovec(iov_base: base + left, iov_len: vectors[0].iov_len - left)
        return left
    }

    private mutating func appendToBuffer(_ bytes: UnsafeRawBufferPointer) throws(DevmemError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = min(rest.count, buffer.count - buffered)
            buffer.withUnsafeMutableBytes { room in
                UnsafeMutableRawBufferPointer(rebasing: room[buffered...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            }
            buffered += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if buffered == buffer.count { try flushBuffer(buffered) }
        }
    }

    /// Writes the first bytes of the buffer and moves the rest to its start, so that another attempt
    /// after a failure writes nothing twice.
    private mutating func flushBuffer(_ count: Int) throws(DevmemError) {
        var done = 0
        defer { dropFirst(done) }
        while done < count {
            let written = buffer.withUnsafeBytes {
                Glibc.write(number, $0.baseAddress.map { $0 + done }, count - done)
            }
            if written >= 0 {
                done += written
                if done < count && done % Self.alignment != 0 { try disableDirectIO() }
                continue
            }
            let code = Errno(rawValue: errno)
            switch code {
            case .interrupted: continue
            case .invalidArgument where isDirect: try disableDirectIO()
            default: throw DevmemError(.system, call: "write to \(name)", errno: code)
            }
        }
    }

    private mutating func dropFirst(_ count: Int) {
        buffer.withUnsafeMutableBytes { room in
            let rest = UnsafeRawBufferPointer(rebasing: room[count..<buffered])
            UnsafeMutableRawBufferPointer(rebasing: room[..<rest.count]).copyMemory(from: rest)
        }
        buffered -= count
    }

    private mutating func disableDirectIO() throws(DevmemError) {
        guard isDirect else { return }
        try retrying("write to \(name) through the page cache") { cdm_fcntl(number, F_SETFL, 0) }
        isDirect = false
    }
}

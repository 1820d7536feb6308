import CDevmem
import Glibc
import SystemPackage

/// Where the payload that is sent comes from.
package struct PayloadSource: ~Copyable {
    private enum Kind {
        case descriptor
        case pattern(PatternBlock, left: UInt64)
    }

    /// What one look at the source brought.
    package enum Filled: Equatable {
        /// So many bytes.
        case bytes(Int)
        /// Nothing now.
        case wouldBlock
        /// Nothing ever again.
        case end
    }

    /// Room in a pipe that makes for few calls; the kernel gives as much as a user may have.
    private static let pipeSize = 1 << 20
    /// The alignment that direct reading asks of memory, offset and length.
    static let directAlignment = 4096

    private let descriptor: Descriptor?
    private var kind: Kind
    private var readsDirectly = false
    /// Calls of read(2).
    private(set) var calls: UInt64 = 0

    /// Reads a file, or standard input for `-`.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - direct: whether to read past the page cache (O_DIRECT of open(2)) where the file system
    ///     can.
    /// - Throws: `DevmemError` of kind `system` if it cannot be opened.
    package init(path: String, direct: Bool = false) throws(DevmemError) {
        var isDirect = direct
        let opened = try Self.open(path, isDirect: &isDirect)
        _ = cdm_fcntl(opened.rawValue, cdm_F_SETPIPE_SZ, Self.pipeSize)
        kind = .descriptor
        readsDirectly = isDirect
        descriptor = consume opened
    }

    /// Repeats a pattern.
    ///
    /// - Parameters:
    ///   - pattern: one period.
    ///   - bytes: how many bytes in all.
    package init(pattern: Pattern, bytes: UInt64) {
        descriptor = nil
        kind = .pattern(PatternBlock(pattern), left: bytes)
    }

    private static func open(
        _ path: String, isDirect: inout Bool
    ) throws(DevmemError) -> Descriptor {
        if path == "-" {
            isDirect = false
            let number = try retrying("use standard input") {
                cdm_fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
            }
            return Descriptor(owning: number)
        }
        if isDirect, let descriptor = try? Descriptor.open(path, O_RDONLY | cdm_O_DIRECT) {
            return descriptor
        }
        isDirect = false
        return try Descriptor.open(path, O_RDONLY)
    }

    /// How many bytes there are still to come; nil if that is not known, as of a pipe.
    package var remaining: UInt64? {
        if case .pattern(_, let left) = kind { return left }
        guard let number = rawValue else { return nil }
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return UInt64(max(0, Int(status.st_size) - Int(lseek(number, 0, SEEK_CUR))))
    }

    /// Whether it reads past the page cache.
    package var isDirect: Bool { readsDirectly }

    /// The descriptor to poll for input; nil if there is always some.
    var rawValue: Int32? {
        switch descriptor {
        case .some(let open): open.rawValue
        case .none: nil
        }
    }

    /// How many bytes of input are worth a look; zero if there is always as much as one wants. What
    /// lies in a pipe costs nothing, but a full pipe stops who fills it.
    var worthGathering: Int {
        guard let number = rawValue else { return 0 }
        let size = Int(cdm_fcntl(number, cdm_F_GETPIPE_SZ, 0))
        return size > 0 ? size / 2 : 0
    }

    /// How large a ring of memory it needs: a pattern, so that it need be written only once, one
    /// that is a whole number of periods.
    func ringCapacity(of memory: Int) -> Int {
        guard case .pattern(let block, _) = kind else { return memory }
        return memory / block.period * block.period
    }

    /// Puts payload into memory.
    ///
    /// - Parameters:
    ///   - memory: where to.
    ///   - position: where in the stream it stands.
    ///   - capacity: bytes of the ring that the memory is part of.
    /// - Returns: how many bytes it put there, or why none.
    /// - Throws: `DevmemError` of kind `system` as read(2) fails.
    package mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, position: UInt64, capacity: Int
    ) throws(DevmemError) -> Filled {
        switch kind {
        case .descriptor: return try read(into: memory)
        case .pattern(let block, let left):
            guard left > 0 else { return .end }
            let count = Int(min(UInt64(memory.count), left))
            // In its second round the ring holds what it held in the first.
            if position < UInt64(capacity) {
                block.copy(
                    from: position, to: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
            }
            kind = .pattern(block, left: left - UInt64(count))
            return .bytes(count)
        }
    }

    private mutating func read(
        into memory: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) -> Filled {
        guard let number = rawValue else { return .end }
        var room = memory.count
        if readsDirectly {
            let start = Int(bitPattern: memory.baseAddress)
            room -= room % Self.directAlignment
            if start % Self.directAlignment != 0 || room == 0 { try stopDirect() }
        }
        calls += 1
        let length = room == 0 ? memory.count : room
        while true {
            let count = Glibc.read(number, memory.baseAddress, length)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            let code = Errno(rawValue: errno)
            switch code {
            case .interrupted: continue
            case .wouldBlock: return .wouldBlock
            case .invalidArgument where readsDirectly: try stopDirect()
            // Not every mapping of a dma-buf can be written by the file system.
            case .badAddress where readsDirectly: try stopDirect()
            default: throw DevmemError(.system, call: "read the input", errno: code)
            }
        }
    }

    /// Goes on through the page cache, as at the end of a file that is no multiple of a block.
    private mutating func stopDirect() throws(DevmemError) {
        guard let number = rawValue else { return }
        try retrying("read the input through the page cache") { cdm_fcntl(number, F_SETFL, 0) }
        readsDirectly = false
    }
}

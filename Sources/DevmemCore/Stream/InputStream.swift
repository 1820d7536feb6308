import CDevmem
import Glibc
import SystemPackage

/// Reads payload from a file, a pipe, a terminal or a socket.
package struct InputStream: PayloadSource, ~Copyable {
    /// Room in a pipe that makes for few calls; the kernel gives as much as a user may have.
    private static let pipeSize = 1 << 20
    /// The alignment that direct reading asks of memory, offset and length.
    static let directAlignment = 4096

    private let descriptor: Descriptor
    private var readsDirectly: Bool
    package private(set) var calls: UInt64 = 0

    /// Opens a file, or standard input for `-`.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - direct: whether to read past the page cache (O_DIRECT of open(2)) where the file system
    ///     can.
    /// - Throws: `DevmemError` of kind `system` if it cannot be opened.
    package init(_ path: String, direct: Bool = false) throws(DevmemError) {
        var isDirect = direct
        let opened = try Self.open(path, isDirect: &isDirect)
        _ = cdm_fcntl(opened.rawValue, cdm_F_SETPIPE_SZ, Self.pipeSize)
        readsDirectly = isDirect
        descriptor = consume opened
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
        let number = descriptor.rawValue
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return UInt64(max(0, Int(status.st_size) - Int(lseek(number, 0, SEEK_CUR))))
    }

    /// Whether it reads past the page cache.
    package var isDirect: Bool { readsDirectly }

    package var inputDescriptor: Int32? { descriptor.rawValue }

    /// Half a pipe: what lies there costs nothing, but a full pipe stops who fills it.
    package var coalescingTarget: Int {
        let size = Int(cdm_fcntl(descriptor.rawValue, cdm_F_GETPIPE_SZ, 0))
        return size > 0 ? size / 2 : 0
    }

    package mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPlace
    ) throws(DevmemError) -> PayloadInput {
        let number = descriptor.rawValue
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
        let number = descriptor.rawValue
        try retrying("read the input through the page cache") { cdm_fcntl(number, F_SETFL, 0) }
        readsDirectly = false
    }
}

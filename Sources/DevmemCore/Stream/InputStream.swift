import CDevmem
import Glibc
import SystemPackage

/// Reads payload from a file, a pipe, a terminal or a socket.
package struct InputStream: PayloadSource, ~Copyable {
    /// The requested pipe size: larger pipes need fewer calls; the kernel may grant less.
    private static let pipeSize = 1 << 20

    private let descriptor: Descriptor
    /// Whether reads bypass the page cache.
    package private(set) var isDirect: Bool

    /// Opens a file, or standard input for `-`.
    ///
    /// - Parameters:
    ///   - path: the path of the file.
    ///   - direct: whether to read with O_DIRECT (open(2)) if the file system supports it.
    ///   - waits: whether to wait for a writer of a FIFO, and for data of it in `fill`, where no signal
    ///     ends that.
    /// - Throws: `DevmemError` of kind `system` if open(2) fails.
    package init(_ path: String, direct: Bool = false, waits: Bool = true) throws(DevmemError) {
        var isDirect = direct
        let opened = try Self.open(path, isDirect: &isDirect, waits ? 0 : O_NONBLOCK)
        _ = cdm_fcntl(opened.rawValue, cdm_F_SETPIPE_SZ, Self.pipeSize)
        self.isDirect = isDirect
        descriptor = consume opened
    }

    private static func open(
        _ path: String, isDirect: inout Bool, _ flags: Int32
    ) throws(DevmemError) -> Descriptor {
        if path == "-" {
            isDirect = false
            let number = try retrying("use standard input") {
                cdm_fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
            }
            return Descriptor(owning: number)
        }
        if isDirect, let descriptor = try? Descriptor.open(path, O_RDONLY | cdm_O_DIRECT | flags) {
            return descriptor
        }
        isDirect = false
        return try Descriptor.open(path, O_RDONLY | flags)
    }

    /// The number of bytes left; nil if unknown, as for a pipe.
    package var remaining: UInt64? {
        let number = descriptor.rawValue
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return UInt64(max(0, Int(status.st_size) - Int(lseek(number, 0, SEEK_CUR))))
    }

    package var inputDescriptor: Int32? { descriptor.rawValue }

    /// Half the pipe's size, because a full pipe blocks its writer.
    package var coalescingTarget: Int {
        let size = Int(cdm_fcntl(descriptor.rawValue, cdm_F_GETPIPE_SZ, 0))
        return size > 0 ? size / 2 : 0
    }

    package mutating func fill(
        _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
    ) throws(DevmemError) -> PayloadInput {
        let number = descriptor.rawValue
        var room = memory.count
        if isDirect {
            let start = Int(bitPattern: memory.baseAddress)
            room -= room % DirectWriter.alignment
            if start % DirectWriter.alignment != 0 || room == 0 { try disableDirectIO() }
        }
        let length = room == 0 ? memory.count : room
        while true {
            let count = Glibc.read(number, memory.baseAddress, length)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            let code = Errno(rawValue: errno)
            switch code {
            case .interrupted: continue
            case .wouldBlock: return .wouldBlock
            case .invalidArgument where isDirect: try disableDirectIO()
            // Some dma-buf mappings cannot be written by the file system.
            case .badAddress where isDirect: try disableDirectIO()
            default: throw DevmemError(.system, call: "read the input", errno: code)
            }
        }
    }

    /// Continues through the page cache, as at the end of a file that is not a multiple of the
    /// block size.
    private mutating func disableDirectIO() throws(DevmemError) {
        let number = descriptor.rawValue
        try retrying("read the input through the page cache") { cdm_fcntl(number, F_SETFL, 0) }
        isDirect = false
    }
}

import CDevmem
import Glibc
import SystemPackage

/// Bytes of a page of memory.
var systemPageSize: UInt32 { UInt32(getpagesize()) }

/// A dma-buf of host memory made by the kernel's udmabuf driver (drivers/dma-buf/udmabuf.c), and
/// this process's view of the same pages.
public struct Udmabuf: ~Copyable, Sendable {
    /// The dma-buf.
    public let descriptor: Descriptor
    /// Bytes in it, a multiple of the page size.
    public let size: UInt64
    /// The same pages as memory of this process.
    public let mapping: Mapping

    /// The device node that makes dma-bufs.
    public static let devicePath = "/dev/udmabuf"
    /// Where the running kernel says how large one may be, in MiB.
    public static let limitPath = "/sys/module/udmabuf/parameters/size_limit_mb"

    /// Bytes of a huge page of the kind that memfd_create(2) gives by default.
    public static let hugePageSize: UInt64 = 2 << 20

    /// Makes a dma-buf.
    ///
    /// - Parameters:
    ///   - size: bytes, a multiple of the page size; of the huge page size for huge pages.
    ///   - hugePages: whether the memory lies in huge pages, as large pieces for the NIC need.
    /// - Throws: `DevmemError` of kind `invalid` for a size that cannot be, `system` if there is
    ///   no udmabuf driver or no memory; the limits of the running kernel are in the message.
    public init(size: UInt64, hugePages: Bool = false) throws(DevmemError) {
        let page = hugePages ? Self.hugePageSize : UInt64(systemPageSize)
        let call = "make a dma-buf of \(size) bytes"
        guard size > 0, size % page == 0, let length = Int(exactly: size) else {
            throw DevmemError(
                .invalid, call: call, message: "the size must be a multiple of \(page)")
        }
        let device = try Self.openDevice()
        let limit = Self.limit()
        if let limit, size > limit {
            throw DevmemError(
                .invalid, call: call, message: "this kernel's limit is \(limit) bytes",
                advice: "choose a smaller --memory or raise \(Self.limitPath)")
        }
        // Asking for more than there is does not fail: it wakes the out-of-memory killer.
        if !hugePages, let available = availableMemory(), size > available {
            throw DevmemError(
                .invalid, call: call, errno: .noMemory,
                message: "\(available) bytes are available", advice: "choose a smaller --memory")
        }

        let memory = Descriptor(
            owning: try retrying("memfd_create") {
                cdm_memfd_create(
                    "devmemtcp",
                    cdm_MFD_CLOEXEC | cdm_MFD_ALLOW_SEALING | (hugePages ? cdm_MFD_HUGETLB : 0))
            })
        try retrying(call) { ftruncate(memory.rawValue, off_t(length)) }
        // udmabuf takes only memory that cannot shrink under it, and none sealed against writing.
        try retrying("seal a memfd") {
            cdm_fcntl(memory.rawValue, cdm_F_ADD_SEALS, Int(cdm_F_SEAL_SHRINK))
        }
        let mapping = try Self.map(memory, length, hugePages: hugePages)

        var request = udmabuf_create()
        request.memfd = UInt32(bitPattern: memory.rawValue)
        request.flags = UInt32(UDMABUF_FLAGS_CLOEXEC)
        request.size = size
        let number: Int32
        do throws(DevmemError) {
            number = try retrying(call) {
                cdm_ioctl(device.rawValue, cdm_UDMABUF_CREATE, &request)
            }
        } catch {
            throw error.advising("see \(Self.limitPath) for the size that this kernel allows")
        }
        descriptor = Descriptor(owning: number)
        self.mapping = mapping
        self.size = size
    }

    private static func map(
        _ memory: borrowing Descriptor, _ length: Int, hugePages: Bool
    ) throws(DevmemError) -> Mapping {
        do throws(DevmemError) {
            return try Mapping(memory, count: length)
        } catch {
            guard hugePages else { throw error }
            let pages = UInt64(length) / hugePageSize
            throw error.advising("sysctl vm.nr_hugepages=\(pages) reserves as many as this needs")
        }
    }

    private static func openDevice() throws(DevmemError) -> Descriptor {
        do throws(DevmemError) {
            return try Descriptor.open(devicePath, O_RDWR)
        } catch {
            throw error.advising(
                error.errno == .permissionDenied
                    ? "run as root or give this user the device"
                    : "the kernel needs CONFIG_UDMABUF; modprobe udmabuf loads it as a module")
        }
    }

    /// The largest dma-buf that the running kernel makes, in bytes; nil if it does not say.
    public static func limit() -> UInt64? {
        lines(of: limitPath).first.flatMap { UInt64($0) }.map { $0 << 20 }
    }

    /// Lends what the NIC wrote for reading by the CPU. READ or WRITE must be in the flags of
    /// DMA_BUF_IOCTL_SYNC, else the kernel refuses (`dma_buf_ioctl` of drivers/dma-buf/dma-buf.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    public borrowing func withDeviceBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try synchronize(UInt64(DMA_BUF_SYNC_START))
        let result: Result
        do throws(DevmemError) {
            result = try mapping.withUnsafeBytes(body)
        } catch {
            try? synchronize(UInt64(DMA_BUF_SYNC_END))
            throw error
        }
        try synchronize(UInt64(DMA_BUF_SYNC_END))
        return result
    }

    /// Lends memory for the CPU to write what the NIC is to read.
    ///
    /// - Parameter body: what writes; the pointer must not outlive it.
    /// - Returns: what `body` returns.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    borrowing func withWritableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try synchronize(UInt64(DMA_BUF_SYNC_START), UInt64(DMA_BUF_SYNC_WRITE))
        let result: Result
        do throws(DevmemError) {
            result = try mapping.withUnsafeMutableBytes(body)
        } catch {
            try? synchronize(UInt64(DMA_BUF_SYNC_END), UInt64(DMA_BUF_SYNC_WRITE))
            throw error
        }
        try synchronize(UInt64(DMA_BUF_SYNC_END), UInt64(DMA_BUF_SYNC_WRITE))
        return result
    }

    private borrowing func synchronize(
        _ phase: UInt64, _ direction: UInt64 = UInt64(DMA_BUF_SYNC_READ)
    ) throws(DevmemError) {
        var request = dma_buf_sync(flags: phase | direction)
        try retrying("synchronise the dma-buf") {
            cdm_ioctl(descriptor.rawValue, cdm_DMA_BUF_IOCTL_SYNC, &request)
        }
    }
}

import CDevmem
import Glibc
import SystemPackage

/// The page size in bytes.
package var systemPageSize: UInt32 { UInt32(getpagesize()) }

/// Creates dma-bufs of host memory with the kernel's udmabuf driver (drivers/dma-buf/udmabuf.c).
package struct Udmabuf: DmabufMaker {
    /// The size in bytes of the huge pages to use; nil for ordinary pages.
    let pageSize: UInt64?

    /// The file with the running kernel's size limit, in MiB.
    package static let limitPath = "/sys/module/udmabuf/parameters/size_limit_mb"

    /// The size in bytes of the huge pages that large buffers of a NIC are made of.
    package static let hugePageSize: UInt64 = 2 << 20

    /// The size in bytes of the largest huge pages of most machines.
    static let largestPageSize: UInt64 = 1 << 30

    /// Creates a dma-buf; its size must be a multiple of the page size, or of the huge page size.
    func make(_ request: DmabufRequest) throws(DevmemError) -> DmabufMemory {
        let size = request.size
        let call = "make a dma-buf of \(size) bytes"
        let length = try DmabufMemory.length(
            of: size, page: pageSize ?? UInt64(systemPageSize))
        let device = try Self.openDevice()
        let limit = Self.limit()
        if let limit, size > limit {
            throw DevmemError(
                .invalid, call: call, message: "this kernel's limit is \(limit) bytes",
                advice: .any("choose a smaller \(.memory)", "raise \(Self.limitPath)"))
        }
        if pageSize == nil { try DmabufMemory.checkAvailable(size) }

        let memory = try Self.file(pageSize: pageSize)
        try retrying(call) { ftruncate(memory.rawValue, off_t(length)) }
        // udmabuf requires a seal against shrinking and refuses one against writing.
        try retrying("seal a memfd") {
            cdm_fcntl(memory.rawValue, cdm_F_ADD_SEALS, Int(cdm_F_SEAL_SHRINK))
        }
        // Huge pages must be populated by mapping them first; for small pages, pinning does it at
        // lower cost.
        if let pageSize { drop(try Self.mapHuge(memory, length, pageSize)) }

        var order = udmabuf_create()
        order.memfd = UInt32(bitPattern: memory.rawValue)
        order.flags = UInt32(UDMABUF_FLAGS_CLOEXEC)
        order.size = size
        let number: Int32
        do throws(DevmemError) {
            number = try retrying(call) {
                cdm_ioctl(device.rawValue, cdm_UDMABUF_CREATE, &order)
            }
        } catch {
            throw error.advising("see \(Self.limitPath) for the size that this kernel allows")
        }
        let descriptor = Descriptor(owning: number)
        // Direct I/O works with a mapping of the memfd, not of the dma-buf.
        return DmabufMemory(descriptor: descriptor, length: length, file: memory)
    }

    /// Makes the file that has the pages.
    private static func file(pageSize: UInt64?) throws(DevmemError) -> Descriptor {
        var flags = cdm_MFD_CLOEXEC | cdm_MFD_ALLOW_SEALING
        if let pageSize {
            // The logarithm of the size (MFD_HUGE_SHIFT of linux/memfd.h).
            flags |= cdm_MFD_HUGETLB | UInt32(pageSize.trailingZeroBitCount) << cdm_MFD_HUGE_SHIFT
        }
        do throws(DevmemError) {
            return Descriptor(
                owning: try retrying("memfd_create") { cdm_memfd_create("devmemtcp", flags) })
        } catch {
            guard let pageSize else { throw error }
            throw error.advising(
                "\(hugePageFolder) shows the sizes; \(ByteCount.exact(pageSize)) may be none")
        }
    }

    private static let hugePageFolder = "/sys/kernel/mm/hugepages"

    private static func mapHuge(
        _ memory: borrowing Descriptor, _ length: Int, _ pageSize: UInt64
    ) throws(DevmemError) -> Mapping {
        do throws(DevmemError) {
            return try Mapping(memory, count: length)
        } catch {
            let pages = UInt64(length) / pageSize
            guard pageSize != hugePageSize else {
                throw error.advising(
                    "sysctl vm.nr_hugepages=\(pages) reserves as many as this needs")
            }
            let file = "\(hugePageFolder)/hugepages-\(pageSize >> 10)kB/nr_hugepages"
            throw error.advising("\(pages) in \(file) reserves as many as this needs")
        }
    }

    private static func openDevice() throws(DevmemError) -> Descriptor {
        do throws(DevmemError) {
            return try Descriptor.open(udmabufPath, O_RDWR)
        } catch {
            throw error.advising(
                error.errno == .permissionDenied
                    ? "run as root or give this user the device"
                    : "the kernel needs CONFIG_UDMABUF; modprobe udmabuf loads it as a module")
        }
    }

    /// Returns the largest dma-buf that the running kernel creates, in bytes; nil if unknown.
    package static func limit() -> UInt64? {
        lines(of: limitPath).first.flatMap { UInt64($0) }.map { $0 << 20 }
    }
}

import CDevmem
import Glibc
import SystemPackage

/// The page size in bytes.
package var systemPageSize: UInt32 { UInt32(getpagesize()) }

/// Creates dma-bufs of host memory with the kernel's udmabuf driver (drivers/dma-buf/udmabuf.c).
package enum Udmabuf {
    /// The file with the running kernel's size limit, in MiB.
    package static let limitPath = "/sys/module/udmabuf/parameters/size_limit_mb"

    /// The size in bytes of the default huge pages of memfd_create(2).
    package static let hugePageSize: UInt64 = 2 << 20

    /// Creates a dma-buf; its size must be a multiple of the page size, or of the huge page size.
    static func make(size: UInt64, hugePages: Bool) throws(DevmemError) -> DmabufMemory {
        let call = "make a dma-buf of \(size) bytes"
        let length = try DmabufMemory.length(
            of: size, page: hugePages ? hugePageSize : UInt64(systemPageSize))
        let device = try openDevice()
        let limit = limit()
        if let limit, size > limit {
            throw DevmemError(
                .invalid, call: call, message: "this kernel's limit is \(limit) bytes",
                advice: .any("choose a smaller \(.memory)", "raise \(limitPath)"))
        }
        if !hugePages { try DmabufMemory.checkAvailable(size) }

        let memory = Descriptor(
            owning: try retrying("memfd_create") {
                cdm_memfd_create(
                    "devmemtcp",
                    cdm_MFD_CLOEXEC | cdm_MFD_ALLOW_SEALING | (hugePages ? cdm_MFD_HUGETLB : 0))
            })
        try retrying(call) { ftruncate(memory.rawValue, off_t(length)) }
        // udmabuf requires a seal against shrinking and refuses one against writing.
        try retrying("seal a memfd") {
            cdm_fcntl(memory.rawValue, cdm_F_ADD_SEALS, Int(cdm_F_SEAL_SHRINK))
        }
        // Huge pages must be populated by mapping them first; for small pages, pinning does it at
        // lower cost.
        let early: Mapping? = hugePages ? try mapHuge(memory, length) : nil

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
            throw error.advising("see \(limitPath) for the size that this kernel allows")
        }
        let descriptor = Descriptor(owning: number)
        // Direct I/O works with a mapping of the memfd, not of the dma-buf.
        return DmabufMemory(
            descriptor: descriptor, length: length, file: memory, mapping: early)
    }

    private static func mapHuge(
        _ memory: borrowing Descriptor, _ length: Int
    ) throws(DevmemError) -> Mapping {
        do throws(DevmemError) {
            return try Mapping(memory, count: length)
        } catch {
            let pages = UInt64(length) / hugePageSize
            throw error.advising("sysctl vm.nr_hugepages=\(pages) reserves as many as this needs")
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

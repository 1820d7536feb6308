import CDevmem
import Glibc
import SystemPackage

/// Allocates dma-bufs from the kernel's dma-heaps (drivers/dma-buf/dma-heap.c).
package struct DmaHeap: DmabufMaker {
    /// The name of its node in /dev/dma_heap.
    let name: String

    static let folder = "/dev/dma_heap"
    /// The heap of ordinary memory (drivers/dma-buf/heaps/system_heap.c).
    package static let system = "system"

    /// Returns whether this process may allocate from a heap.
    package static func isUsable(_ heap: String) -> Bool {
        faccessat(AT_FDCWD, "\(folder)/\(heap)", R_OK | W_OK, AT_EACCESS) == 0
    }

    /// Allocates a dma-buf; its size must be a multiple of the page size.
    func make(_ request: DmabufRequest) throws(DevmemError) -> DmabufMemory {
        let size = request.size
        let length = try DmabufMemory.length(of: size, page: UInt64(systemPageSize))
        try DmabufMemory.checkAvailable(size)
        let device = try Self.open(name)
        var order = dma_heap_allocation_data()
        order.len = size
        order.fd_flags = UInt32(O_RDWR | O_CLOEXEC)
        try retrying("make a dma-buf of \(size) bytes in heap \(name)") {
            cdm_ioctl(device.rawValue, cdm_DMA_HEAP_IOCTL_ALLOC, &order)
        }
        return DmabufMemory(
            descriptor: Descriptor(owning: Int32(bitPattern: order.fd)), length: length)
    }

    private static func open(_ name: String) throws(DevmemError) -> Descriptor {
        do throws(DevmemError) {
            return try Descriptor.open("\(folder)/\(name)", O_RDWR)
        } catch {
            throw error.advising(
                error.errno == .permissionDenied
                    ? "run as root or give this user the device" : "ls \(folder) shows the heaps")
        }
    }
}

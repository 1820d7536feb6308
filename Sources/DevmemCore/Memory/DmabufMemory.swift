import CDevmem
import Glibc
import SystemPackage

/// What makes the dma-bufs that a NIC receives into and sends from.
package enum MemoryProvider: Hashable, Sendable, CustomStringConvertible {
    /// The dma-heap `system` if it can be used and no huge pages are wanted, else udmabuf. The heap
    /// makes few large pieces where udmabuf makes many of a page: the kernel looks through a
    /// binding's pieces for each fragment that goes back to it (`gen_pool_free_owner` of
    /// lib/genalloc.c), and through udmabuf's whenever the CPU is to look at them. But a file system
    /// cannot read or write a heap's memory past the page cache, as it can udmabuf's.
    case automatic
    /// The udmabuf driver: pages of this process's.
    case udmabuf
    /// A dma-heap by the name of its node in /dev/dma_heap, such as `system`.
    case heap(String)

    /// Reads `auto`, `udmabuf` or `heap:NAME`; nil for anything else.
    package init?(_ text: String) {
        if text == "auto" {
            self = .automatic
        } else if text == "udmabuf" {
            self = .udmabuf
        } else if text.hasPrefix("heap:"), text.count > 5, !text.contains("/") {
            self = .heap(String(text.dropFirst(5)))
        } else {
            return nil
        }
    }

    /// `auto`, `udmabuf` or `heap:NAME`.
    package var description: String {
        switch self {
        case .automatic: "auto"
        case .udmabuf: "udmabuf"
        case .heap(let name): "heap:\(name)"
        }
    }
}

/// A dma-buf of host memory, and this process's view of the same pages.
package struct DmabufMemory: ~Copyable, Sendable {
    /// The dma-buf.
    package let descriptor: Descriptor
    /// The same pages as memory of this process.
    package let mapping: Mapping

    /// Bytes in it, a multiple of the page size.
    package var size: UInt64 { UInt64(mapping.count) }

    /// Makes a dma-buf.
    ///
    /// - Parameters:
    ///   - size: bytes, a multiple of the page size; of the huge page size for huge pages.
    ///   - provider: what makes it.
    ///   - hugePages: whether the memory lies in huge pages, as large pieces for the NIC need; a
    ///     heap decides that by itself.
    /// - Throws: `DevmemError` of kind `invalid` for a size that cannot be, `system` if there is
    ///   no such provider or no memory; the limits of the running kernel are in the message.
    package init(
        size: UInt64, provider: MemoryProvider = .automatic, hugePages: Bool = false
    ) throws(DevmemError) {
        switch provider {
        case .automatic where !hugePages && DmaHeap.isUsable(DmaHeap.system):
            self = try DmaHeap.make(size: size, heap: DmaHeap.system)
        case .automatic, .udmabuf: self = try Udmabuf.make(size: size, hugePages: hugePages)
        case .heap(let name): self = try DmaHeap.make(size: size, heap: name)
        }
    }

    /// Makes a dma-buf that a NIC fills in pieces of a size, in bytes; larger ones than a page take
    /// huge pages. Nil is one page.
    package init(
        size: UInt64, provider: MemoryProvider = .automatic, pageSize: UInt32?
    ) throws(DevmemError) {
        try self.init(
            size: size, provider: provider,
            hugePages: pageSize.map { $0 > systemPageSize } ?? false)
    }

    package init(descriptor: consuming Descriptor, mapping: consuming Mapping) {
        self.descriptor = descriptor
        self.mapping = mapping
    }

    /// A size as a length of memory, if it is a multiple of the page size.
    static func length(of size: UInt64, page: UInt64) throws(DevmemError) -> Int {
        guard size > 0, size % page == 0, let length = Int(exactly: size) else {
            throw DevmemError(
                .invalid, call: "make a dma-buf of \(size) bytes",
                message: "the size must be a multiple of \(page)")
        }
        return length
    }

    /// Asking for more than there is does not fail: it wakes the out-of-memory killer.
    static func checkAvailable(_ size: UInt64) throws(DevmemError) {
        guard let available = availableMemory(), size > available else { return }
        throw DevmemError(
            .invalid, call: "make a dma-buf of \(size) bytes", errno: .noMemory,
            message: "\(available) bytes are available", advice: "choose a smaller \(.memory)")
    }

    /// Lends what the NIC wrote for reading by the CPU. READ or WRITE must be in the flags of
    /// DMA_BUF_IOCTL_SYNC, else the kernel refuses (`dma_buf_ioctl` of drivers/dma-buf/dma-buf.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    package borrowing func withDeviceBytes<Result>(
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

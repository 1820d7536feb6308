import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// Where the dma-bufs come from that a NIC receives into and sends from.
public enum MemoryProvider: Hashable, Sendable, CustomStringConvertible {
    /// The dma-heap `system` if it is usable and no huge pages are requested, otherwise udmabuf. A
    /// heap's buffer consists of a few large blocks, udmabuf's of single pages. The kernel searches
    /// a binding's blocks for each fragment that is returned (`gen_pool_free_owner` of
    /// lib/genalloc.c), and udmabuf's pages whenever the CPU is to access them. On the other hand,
    /// direct I/O works with udmabuf's memory and not with a heap's.
    case automatic
    /// The udmabuf driver: pages of this process.
    case udmabuf
    /// A dma-heap, by the name of its node in /dev/dma_heap, such as `system`.
    case heap(String)

    /// Parses `auto`, `udmabuf` or `heap:NAME`; nil for anything else.
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
    public var description: String {
        switch self {
        case .automatic: "auto"
        case .udmabuf: "udmabuf"
        case .heap(let name): "heap:\(name)"
        }
    }
}

/// A dma-buf of host memory.
///
/// It is mapped into this process when the CPU first accesses it. The mapping costs the kernel more
/// than a thousand instructions a page, and payload that is discarded, or that a GPU reads, needs
/// none.
public struct DmabufMemory: ~Copyable, Sendable {
    /// The dma-buf.
    package let descriptor: Descriptor
    /// The dma-buf's descriptor, for calls that this library does not offer.
    public var rawValue: Int32 { descriptor.rawValue }
    /// The size in bytes, a multiple of the page size.
    public var size: UInt64 { UInt64(length) }

    /// The size as a length of memory.
    let length: Int
    /// The file of the dma-buf's pages, if mapping that allows more than mapping the dma-buf.
    private let file: Descriptor?
    private let mapping: Mutex<Mapping?>

    /// Allocates a dma-buf.
    ///
    /// - Parameters:
    ///   - size: bytes, a multiple of the page size, or of the huge page size for huge pages.
    ///   - provider: where the memory comes from.
    ///   - hugePages: whether to use huge pages, which large buffers of the NIC need; a heap
    ///     decides that by itself.
    /// - Throws: `DevmemError` of kind `invalid` for an impossible size, `system` if the provider
    ///   or the memory is not available; the message states the running kernel's limits.
    public init(
        size: UInt64, provider: MemoryProvider = .automatic, hugePages: Bool = false
    ) throws(DevmemError) {
        switch provider {
        case .automatic where !hugePages && DmaHeap.isUsable(DmaHeap.system):
            self = try DmaHeap.make(size: size, heap: DmaHeap.system)
        case .automatic, .udmabuf: self = try Udmabuf.make(size: size, hugePages: hugePages)
        case .heap(let name): self = try DmaHeap.make(size: size, heap: name)
        }
    }

    /// Allocates a dma-buf for a NIC that fills buffers of a size in bytes; buffers larger than a
    /// page need huge pages. Nil means one page.
    package init(
        size: UInt64, provider: MemoryProvider = .automatic, pageSize: UInt32?
    ) throws(DevmemError) {
        try self.init(
            size: size, provider: provider,
            hugePages: pageSize.map { $0 > systemPageSize } ?? false)
    }

    /// Wraps a dma-buf of `length` bytes.
    ///
    /// - Parameters:
    ///   - descriptor: the dma-buf.
    ///   - length: its size.
    ///   - file: the file of its pages, to map instead of the dma-buf.
    ///   - mapping: its mapping, if it is mapped already.
    init(
        descriptor: consuming Descriptor, length: Int, file: consuming Descriptor? = nil,
        mapping: consuming Mapping? = nil
    ) {
        self.descriptor = descriptor
        self.length = length
        self.file = file
        self.mapping = Mutex(mapping)
    }

    /// Converts a size to a length of memory.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if it is not a multiple of the page size.
    static func length(of size: UInt64, page: UInt64) throws(DevmemError) -> Int {
        guard size > 0, size % page == 0, let length = Int(exactly: size) else {
            throw DevmemError(
                .invalid, call: "make a dma-buf of \(size) bytes",
                message: "the size must be a multiple of \(page)")
        }
        return length
    }

    /// Refuses a size that exceeds the available memory, because the allocation would not fail but
    /// wake the out-of-memory killer.
    static func checkAvailable(_ size: UInt64) throws(DevmemError) {
        guard let available = availableMemory(), size > available else { return }
        throw DevmemError(
            .invalid, call: "make a dma-buf of \(size) bytes", errno: .noMemory,
            message: "\(available) bytes are available", advice: "choose a smaller \(.memory)")
    }

    /// Maps the memory now, so that the first access does not take the time.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    package borrowing func map() throws(DevmemError) { _ = try bytes() }

    /// Returns the mapped memory, which stays where it is for the life of this value.
    private borrowing func bytes() throws(DevmemError) -> UnsafeMutableRawBufferPointer {
        try mapping.withLock { mapping throws(DevmemError) in
            if mapping == nil { mapping = try makeMapping() }
            return mapping?.bytes ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
    }

    private borrowing func makeMapping() throws(DevmemError) -> Mapping {
        switch file {
        case .some(let file): try Mapping(file, count: length)
        case .none: try Mapping(descriptor, count: length)
        }
    }

    /// Lends the memory to the CPU for reading what the NIC wrote. The kernel requires READ or
    /// WRITE in the flags of DMA_BUF_IOCTL_SYNC (`dma_buf_ioctl` of drivers/dma-buf/dma-buf.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses access or a mapping, and what
    ///   `body` throws.
    public borrowing func withDeviceBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        let bytes = UnsafeRawBufferPointer(try bytes())
        try synchronize(UInt64(DMA_BUF_SYNC_START))
        let result: Result
        do throws(DevmemError) {
            result = try body(bytes)
        } catch {
            try? synchronize(UInt64(DMA_BUF_SYNC_END))
            throw error
        }
        try synchronize(UInt64(DMA_BUF_SYNC_END))
        return result
    }

    /// Lends the memory to the CPU for writing what the NIC will read.
    ///
    /// - Parameter body: writes; the pointer must not outlive it.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    borrowing func withWritableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        let bytes = try bytes()
        try synchronize(UInt64(DMA_BUF_SYNC_START), UInt64(DMA_BUF_SYNC_WRITE))
        let result: Result
        do throws(DevmemError) {
            result = try body(bytes)
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
        try retrying("synchronize the dma-buf") {
            cdm_ioctl(descriptor.rawValue, cdm_DMA_BUF_IOCTL_SYNC, &request)
        }
    }
}

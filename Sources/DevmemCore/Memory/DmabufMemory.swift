import CDevmem
import Glibc
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

/// A dma-buf of host memory, mapped into this process; or several, one for each queue of io_uring,
/// mapped one after the other as if they were one.
public struct DmabufMemory: ~Copyable, Sendable {
    /// The dma-buf, or the first of several.
    package let descriptor: Descriptor
    /// The dma-bufs after the first.
    private let others: [DmabufPart]
    /// The dma-buf's descriptor, for calls that this library does not offer.
    public var rawValue: Int32 { descriptor.rawValue }
    /// The pages of all dma-bufs, mapped into this process.
    package let mapping: Mapping

    /// The size in bytes, a multiple of the page size.
    public var size: UInt64 { UInt64(mapping.count) }

    /// The number of dma-bufs, which have the same size.
    public var parts: Int { others.count + 1 }

    /// The size in bytes of one dma-buf.
    package var partSize: Int { mapping.count / parts }

    /// Allocates a dma-buf, or several.
    ///
    /// - Parameters:
    ///   - size: bytes in all, a multiple of the page size, or of the huge page size for huge pages,
    ///     in each part.
    ///   - provider: where the memory comes from.
    ///   - hugePages: whether to use huge pages, which large buffers of the NIC need; a heap
    ///     decides that by itself.
    ///   - parts: the number of dma-bufs; io_uring takes one for each queue.
    /// - Throws: `DevmemError` of kind `invalid` for an impossible size, `system` if the provider
    ///   or the memory is not available; the message states the running kernel's limits.
    public init(
        size: UInt64, provider: MemoryProvider = .automatic, hugePages: Bool = false,
        parts: Int = 1
    ) throws(DevmemError) {
        guard parts > 1 else {
            self = try Self.make(size, provider, hugePages: hugePages)
            return
        }
        guard size % UInt64(parts) == 0 else {
            throw DevmemError(
                .invalid, call: "make \(parts) dma-bufs of \(size) bytes",
                message: "the size must be a multiple of their number")
        }
        let partSize = size / UInt64(parts)
        let first = try Self.make(partSize, provider, hugePages: hugePages)
        var whole = try Mapping(
            reserving: first.mapping.count * parts, alignment: Int(Udmabuf.hugePageSize))
        try whole.place(first.mapping, at: 0)
        var others: [DmabufPart] = []
        for part in 1..<parts {
            let next = try Self.make(partSize, provider, hugePages: hugePages)
            try whole.place(next.mapping, at: part * Int(partSize))
            others.append(DmabufPart(next.descriptor))
        }
        descriptor = first.descriptor
        mapping = whole
        self.others = others
    }

    private static func make(
        _ size: UInt64, _ provider: MemoryProvider, hugePages: Bool
    ) throws(DevmemError) -> DmabufMemory {
        switch provider {
        case .automatic where !hugePages && DmaHeap.isUsable(DmaHeap.system):
            try DmaHeap.make(size: size, heap: DmaHeap.system)
        case .automatic, .udmabuf: try Udmabuf.make(size: size, hugePages: hugePages)
        case .heap(let name): try DmaHeap.make(size: size, heap: name)
        }
    }

    /// Allocates dma-bufs for a NIC that fills buffers of a size in bytes; buffers larger than a
    /// page need huge pages. Nil means one page. A size that does not divide into whole pages for
    /// each part is rounded up.
    package init(
        size: UInt64, provider: MemoryProvider = .automatic, pageSize: UInt32?, parts: Int = 1
    ) throws(DevmemError) {
        let hugePages = pageSize.map { $0 > systemPageSize } ?? false
        try self.init(
            size: parts > 1
                ? Self.size(
                    size, parts: parts,
                    page: hugePages ? Udmabuf.hugePageSize : UInt64(systemPageSize)) : size,
            provider: provider, hugePages: hugePages, parts: parts)
    }

    package init(descriptor: consuming Descriptor, mapping: consuming Mapping) {
        self.descriptor = descriptor
        self.mapping = mapping
        others = []
    }

    /// Returns a size rounded up to whole pages in each part; the size itself if that is too much.
    /// Pure.
    static func size(_ size: UInt64, parts: Int, page: UInt64) -> UInt64 {
        let step = page.multipliedReportingOverflow(by: UInt64(max(parts, 1)))
        guard !step.overflow, step.partialValue > 0 else { return size }
        let rest = size % step.partialValue
        let rounded = size.addingReportingOverflow(rest == 0 ? 0 : step.partialValue - rest)
        return rounded.overflow ? size : rounded.partialValue
    }

    /// Returns the descriptor of a part.
    borrowing func rawValue(ofPart part: Int) -> Int32 {
        part == 0 ? descriptor.rawValue : others[part - 1].descriptor.rawValue
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

    /// Lends the memory to the CPU for reading what the NIC wrote. The kernel requires READ or
    /// WRITE in the flags of DMA_BUF_IOCTL_SYNC (`dma_buf_ioctl` of drivers/dma-buf/dma-buf.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    public borrowing func withDeviceBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try withDeviceBytes(ofParts: 0..<parts, body)
    }

    /// Does the same for a reader of some parts only; the pointer is to all of the memory.
    borrowing func withDeviceBytes<Result>(
        ofParts parts: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try withAccess(to: parts, UInt64(DMA_BUF_SYNC_READ)) { () throws(DevmemError) in
            try mapping.withUnsafeBytes(body)
        }
    }

    /// Lends the memory to the CPU for writing what the NIC will read.
    ///
    /// - Parameter body: writes; the pointer must not outlive it.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    borrowing func withWritableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try withAccess(to: 0..<parts, UInt64(DMA_BUF_SYNC_WRITE)) { () throws(DevmemError) in
            try mapping.withUnsafeMutableBytes(body)
        }
    }

    private borrowing func withAccess<Result>(
        to parts: Range<Int>, _ direction: UInt64, _ body: () throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        var begun = parts.lowerBound
        let result: Result
        do throws(DevmemError) {
            while begun < parts.upperBound {
                try synchronize(begun, UInt64(DMA_BUF_SYNC_START) | direction)
                begun += 1
            }
            result = try body()
        } catch {
            for part in parts.lowerBound..<begun {
                try? synchronize(part, UInt64(DMA_BUF_SYNC_END) | direction)
            }
            throw error
        }
        for part in parts { try synchronize(part, UInt64(DMA_BUF_SYNC_END) | direction) }
        return result
    }

    private borrowing func synchronize(_ part: Int, _ flags: UInt64) throws(DevmemError) {
        let number = rawValue(ofPart: part)
        var request = dma_buf_sync(flags: flags)
        try retrying("synchronize the dma-buf") {
            cdm_ioctl(number, cdm_DMA_BUF_IOCTL_SYNC, &request)
        }
    }
}

/// A dma-buf after the first. A class, as an array holds no values that cannot be copied.
private final class DmabufPart: Sendable {
    let descriptor: Descriptor

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }
}

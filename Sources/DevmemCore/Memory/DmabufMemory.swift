import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// A dma-buf, with a view of its bytes; or several, one for each queue of io_uring, with one view as
/// if they were one.
///
/// The view is a mapping of the memory where the CPU can map it. The memory of a device that the CPU
/// cannot map is copied to and from a view in host memory, whose pages exist only once they are used.
/// Either is made when the CPU first accesses the memory: a mapping costs the kernel more than a
/// thousand instructions a page, and payload that is discarded, or that a GPU reads, needs none.
public struct DmabufMemory: ~Copyable, Sendable {
    /// The dma-buf, or the first of several.
    package let descriptor: Descriptor
    /// The file of the first one's pages, if mapping that allows more than mapping the dma-buf.
    private let file: Descriptor?
    /// The memory of the first, if the CPU cannot map it.
    private let device: (any DeviceCopies)?
    /// The device that has the memory, in words; nil for the host.
    package let origin: String?
    /// The dma-bufs after the first.
    private let others: [DmabufPart]
    /// The dma-buf's descriptor, for calls that this library does not offer.
    public var rawValue: Int32 { descriptor.rawValue }
    /// The view of all dma-bufs, once it is needed.
    private let view: Mutex<MemoryView?>

    /// The size in bytes, a multiple of the page size.
    public var size: UInt64 { UInt64(length) }

    /// The size as a length of memory.
    var length: Int { partSize * parts }

    /// The number of dma-bufs, which have the same size.
    public var parts: Int { others.count + 1 }

    /// The size in bytes of one dma-buf.
    let partSize: Int

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
        try self.init(
            DmabufRequest(size: size), provider: provider, hugePages: hugePages, parts: parts)
    }

    private init(
        _ whole: DmabufRequest, provider: MemoryProvider, hugePages: Bool, parts: Int
    ) throws(DevmemError) {
        let size = whole.size
        guard parts > 1 else {
            self = try provider.maker(hugePages: hugePages).make(whole)
            return
        }
        guard !provider.isOneOfItsSize else {
            throw DevmemError(
                .unsupported, call: "make \(parts) dma-bufs", message: "\(provider) is only one")
        }
        guard size % UInt64(parts) == 0 else {
            throw DevmemError(
                .invalid, call: "make \(parts) dma-bufs of \(size) bytes",
                message: "the size must be a multiple of their number")
        }
        let maker = provider.maker(hugePages: hugePages)
        let request = DmabufRequest(size: size / UInt64(parts), interface: whole.interface)
        let first = try maker.make(request)
        var others: [DmabufPart] = []
        for _ in 1..<parts { others.append(DmabufPart(try maker.make(request))) }
        partSize = first.partSize
        view = Mutex(nil)
        descriptor = first.descriptor
        file = first.file
        device = first.device
        origin = first.origin
        self.others = others
    }

    /// Allocates dma-bufs for a NIC that fills buffers of a size in bytes; buffers larger than a
    /// page need huge pages. Nil means one page. A size that does not divide into whole pages for
    /// each part is rounded up. Of several GPUs the one nearest to the NIC is chosen.
    package init(
        size: UInt64, provider: MemoryProvider = .automatic, pageSize: UInt32?, parts: Int = 1,
        near interface: NetworkInterface? = nil
    ) throws(DevmemError) {
        let hugePages = pageSize.map { $0 > systemPageSize } ?? false
        let page = provider.pageSize(hugePages: hugePages)
        try self.init(
            DmabufRequest(
                size: parts > 1 ? Self.size(size, parts: parts, page: page) : size,
                interface: interface),
            provider: provider, hugePages: hugePages, parts: parts)
    }

    /// Allocates one dma-buf near a NIC.
    ///
    /// - Parameters:
    ///   - size: the least number of bytes; it is rounded up to whole pages of the provider.
    ///   - provider: where the memory comes from.
    ///   - interface: the NIC.
    /// - Throws: `DevmemError` as the other initializers.
    package init(
        atLeast size: UInt64, from provider: MemoryProvider, near interface: NetworkInterface
    ) throws(DevmemError) {
        try self.init(
            size: provider.wholePages(size), provider: provider, pageSize: nil, near: interface)
    }

    /// Wraps a dma-buf.
    ///
    /// - Parameters:
    ///   - descriptor: the dma-buf.
    ///   - length: its size in bytes.
    ///   - file: the file of its pages, to map instead of the dma-buf.
    ///   - device: the memory, if the CPU cannot map it.
    ///   - origin: the device in words.
    init(
        descriptor: consuming Descriptor, length: Int, file: consuming Descriptor? = nil,
        device: (any DeviceCopies)? = nil, origin: String? = nil
    ) {
        self.descriptor = descriptor
        partSize = length
        view = Mutex(nil)
        self.file = file
        self.device = device
        self.origin = origin
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
        part == 0 ? descriptor.rawValue : others[part - 1].memory.rawValue
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

    /// Makes the view now, so that the first access does not take the time.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    package borrowing func map() throws(DevmemError) { _ = try bytes() }

    /// Returns the view, which stays where it is for the life of this value.
    private borrowing func bytes() throws(DevmemError) -> UnsafeMutableRawBufferPointer {
        try view.withLock { view throws(DevmemError) in
            if view == nil { view = try makeView() }
            return view?.bytes ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
    }

    private borrowing func makeView() throws(DevmemError) -> MemoryView {
        guard device == nil else { return try makeHostView() }
        guard !others.isEmpty else { return MemoryView(try mapPart()) }
        var whole = try Mapping(reserving: length, alignment: Int(Udmabuf.largestPageSize))
        try whole.place(try mapPart(), at: 0)
        for (place, part) in others.enumerated() {
            try whole.place(try part.memory.mapPart(), at: (place + 1) * partSize)
        }
        return MemoryView(whole)
    }

    /// Makes a view in host memory, with each part prepared by the device that it is of.
    private borrowing func makeHostView() throws(DevmemError) -> MemoryView {
        let memory = try Mapping(untouched: length)
        var prepared: [any PreparedHostMemory] = []
        for part in 0..<parts {
            let slice = UnsafeMutableRawBufferPointer(
                rebasing: memory.bytes[place(ofPart: part)])
            if let host = device(ofPart: part)?.prepare(slice) { prepared.append(host) }
        }
        return MemoryView(memory, prepared)
    }

    /// Returns the device that has the memory of a part; nil if the CPU can map it.
    borrowing func device(ofPart part: Int) -> (any DeviceCopies)? {
        part == 0 ? device : others[part - 1].memory.device
    }

    /// Maps the first dma-buf alone.
    fileprivate borrowing func mapPart() throws(DevmemError) -> Mapping {
        switch file {
        case .some(let file): try Mapping(file, count: partSize)
        case .none: try Mapping(descriptor, count: partSize)
        }
    }

    /// Lends all of the memory to the CPU for reading what the NIC wrote. The kernel requires READ or
    /// WRITE in the flags of DMA_BUF_IOCTL_SYNC (`dma_buf_ioctl` of drivers/dma-buf/dma-buf.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, and what `body` throws.
    public borrowing func withDeviceBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try withDeviceBytes(in: [MemoryRange(offset: 0, count: length)], body)
    }

    /// Lends ranges of the memory to the CPU for reading what the NIC wrote.
    ///
    /// - Parameters:
    ///   - ranges: what will be read; asked for only if it matters.
    ///   - body: called with all of the memory, of which only the ranges are as the NIC left them.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel or a device refuses, and what `body`
    ///   throws.
    package borrowing func withDeviceBytes<Result>(
        in ranges: @autoclosure () -> [MemoryRange],
        _ body: (UnsafeRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        let bytes = UnsafeRawBufferPointer(try bytes())
        if device != nil {
            try copyOut(ranges())
            return try body(bytes)
        }
        let parts = others.isEmpty ? 0..<1 : parts(of: ranges())
        return try withAccess(to: parts, UInt64(DMA_BUF_SYNC_READ)) { () throws(DevmemError) in
            try body(bytes)
        }
    }

    /// Lends all of the memory to the CPU for writing what the NIC will read.
    ///
    /// - Parameter body: writes; the pointer must not outlive it.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel or a device refuses, and what `body`
    ///   throws.
    borrowing func withWritableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        let all = MemoryRange(offset: 0, count: length)
        return try withWritableBytes(in: all, written: { _ in all.count }, body)
    }

    /// Lends a range of the memory to the CPU for writing what the NIC will read.
    ///
    /// - Parameters:
    ///   - range: the range.
    ///   - written: how many of its first bytes were written, by the result of `body`.
    ///   - body: writes; the pointer must not outlive it.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel or a device refuses, and what `body`
    ///   throws.
    borrowing func withWritableBytes<Result>(
        in range: MemoryRange, written: (Result) -> Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        let bytes = UnsafeMutableRawBufferPointer(
            rebasing: try bytes()[range.offset..<range.offset + range.count])
        guard device != nil else {
            return try withAccess(to: parts(of: [range]), UInt64(DMA_BUF_SYNC_WRITE)) {
                () throws(DevmemError) in try body(bytes)
            }
        }
        let result = try body(bytes)
        let count = min(max(0, written(result)), range.count)
        try copyIn(MemoryRange(offset: range.offset, count: count))
        return result
    }

    /// The parts that ranges lie in.
    borrowing func parts(of ranges: [MemoryRange]) -> Range<Int> {
        guard !others.isEmpty, let first = ranges.first else { return 0..<1 }
        var (low, high) = (first.offset, first.offset)
        for range in ranges where range.count > 0 {
            low = min(low, range.offset)
            high = max(high, range.offset + range.count - 1)
        }
        return low / partSize..<high / partSize + 1
    }

    private borrowing func copyOut(_ ranges: [MemoryRange]) throws(DevmemError) {
        for part in parts(of: ranges) {
            let cut = cut(ranges, toPart: part)
            try withView(ofPart: part) { view, device throws(DevmemError) in
                try device.copyOut(cut, to: view)
            }
        }
    }

    private borrowing func copyIn(_ range: MemoryRange) throws(DevmemError) {
        for part in parts(of: [range]) {
            for cut in cut([range], toPart: part) {
                try withView(ofPart: part) { view, device throws(DevmemError) in
                    try device.copyIn(cut, from: UnsafeRawBufferPointer(view))
                }
            }
        }
    }

    /// What of the ranges lies in a part, from the start of that part.
    private borrowing func cut(_ ranges: [MemoryRange], toPart part: Int) -> [MemoryRange] {
        ranges.compactMap { $0.clipped(to: place(ofPart: part)) }
    }

    /// Where a part lies in the memory.
    borrowing func place(ofPart part: Int) -> Range<Int> {
        part * partSize..<(part + 1) * partSize
    }

    private borrowing func withView(
        ofPart part: Int,
        _ body: (UnsafeMutableRawBufferPointer, any DeviceCopies) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        guard let device = device(ofPart: part) else { return }
        try body(
            UnsafeMutableRawBufferPointer(rebasing: try bytes()[place(ofPart: part)]), device)
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
    let memory: DmabufMemory

    init(_ memory: consuming DmabufMemory) {
        self.memory = memory
    }
}

import CDevmem
import Glibc
import SystemPackage

/// The registration of a receive queue whose payload io_uring puts into a dma-buf
/// (`io_register_zcrx` of io_uring/zcrx.c), with the ring that takes memory back.
///
/// It receives nothing itself: threads join with rings of their own. The queue is free again some
/// time after this value and the last of those rings are gone; see `ZerocopyQueue`.
struct ZerocopyInstance: ~Copyable, Sendable {
    /// The fewest refill entries.
    private static let leastEntries: UInt64 = 8192
    /// The most refill entries that the kernel allows (IO_RQ_MAX_ENTRIES of io_uring/zcrx.h).
    private static let mostEntries: UInt64 = 32768

    // The mapping comes first: while it exists, closing the instance frees nothing.
    private var refill: RefillRing
    // Never enabled, as a disabled ring can be registered with by any thread.
    private let ring: IORing
    /// Stands for the registration when threads join.
    let exported: Descriptor
    /// The part of the memory that it fills.
    let area: ZerocopyArea
    private let id: UInt32

    /// Registers a queue. The NIC must split headers and must not have bound the queue.
    ///
    /// - Parameters:
    ///   - memory: the memory.
    ///   - part: which of its dma-bufs to fill.
    ///   - interface: the NIC.
    ///   - queue: the queue id.
    ///   - pageSize: the size in bytes of the buffers that the NIC fills; nil for one page.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `malformed` if its answer is
    ///   impossible.
    init(
        _ memory: borrowing DmabufMemory, part: Int, of interface: NetworkInterface,
        queue: UInt32, pageSize: UInt32?
    ) throws(DevmemError) {
        let call = "register queue \(queue) of \(interface.name) with io_uring"
        let ring = try IORing(completions: 8)
        let wanted = Self.entries(memory: UInt64(memory.partSize), pageSize: pageSize)
        let size = Int(systemPageSize) + Int(wanted) * RefillRing.stride
        var region = cdm_io_uring_region_desc()
        region.size = UInt64(size)
        var area = cdm_io_uring_zcrx_area_reg()
        area.len = UInt64(memory.partSize)
        area.flags = cdm_IORING_ZCRX_AREA_DMABUF
        area.dmabuf_fd = UInt32(bitPattern: memory.rawValue(ofPart: part))
        var request = cdm_io_uring_zcrx_ifq_reg()
        request.if_idx = interface.index
        request.if_rxq = queue
        request.rq_entries = wanted
        request.rx_buf_len = pageSize ?? 0
        try withUnsafeMutablePointer(to: &region) { region throws(DevmemError) in
            try withUnsafeMutablePointer(to: &area) { area throws(DevmemError) in
                request.region_ptr = UInt64(UInt(bitPattern: region))
                request.area_ptr = UInt64(UInt(bitPattern: area))
                do throws(DevmemError) {
                    try ring.register(cdm_IORING_REGISTER_ZCRX_IFQ, &request, count: 1, call)
                } catch {
                    throw Self.explained(error)
                }
            }
        }
        guard
            let places = SharedRing(
                head: request.offsets.head, tail: request.offsets.tail,
                entries: request.offsets.rqes, count: request.rq_entries,
                stride: RefillRing.stride, in: size)
        else {
            throw DevmemError(.malformed, call: call, message: "the refill ring is impossible")
        }
        let refill = try ring.map(size, at: region.mmap_offset)
        var export = cdm_zcrx_ctrl()
        export.zcrx_id = request.zcrx_id
        export.op = cdm_ZCRX_CTRL_EXPORT
        try ring.register(cdm_IORING_REGISTER_ZCRX_CTRL, &export, count: 0, call)
        exported = Descriptor(owning: Int32(bitPattern: export.zcrx_fd))
        self.area = ZerocopyArea(
            token: area.rq_area_token, start: part * memory.partSize, size: memory.partSize)
        self.refill = RefillRing(refill, places, of: self.area)
        self.ring = ring
        id = request.zcrx_id
    }

    /// Unmaps the refill ring and closes the descriptors.
    consuming func close() {
        refill.close()
        ring.close()
    }

    /// The number of refill entries for a dma-buf: one for each of its buffers, so that memory can
    /// always be returned. The kernel reads them only when its own stock is empty. Pure.
    static func entries(memory: UInt64, pageSize: UInt32?) -> UInt32 {
        let wanted = max(leastEntries, min(buffers(in: memory, pageSize: pageSize), mostEntries))
        let power = UInt64(1) << (64 - (wanted - 1).leadingZeroBitCount)
        return UInt32(min(power, mostEntries))
    }

    /// The number of the NIC's buffers in some memory. Pure.
    static func buffers(in memory: UInt64, pageSize: UInt32?) -> UInt64 {
        memory / UInt64(max(pageSize ?? 4096, 4096))
    }

    private static func explained(_ error: DevmemError) -> DevmemError {
        switch error.errno {
        case .notPermitted:
            error.advising("it takes CAP_NET_ADMIN in the initial user namespace")
        case .noMemory: error.advising("the memory may be smaller than the queue's ring")
        case .resourceBusy, .fileExists: error.advising("another program may have the queue")
        default: error
        }
    }

    /// Returns fragments to the NIC, each exactly once, and removes those that were returned.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel cannot empty the refill ring,
    ///   `malformed` if it does not.
    mutating func giveBack(_ fragments: inout [ZerocopyFragment]) throws(DevmemError) {
        while !fragments.isEmpty {
            if refill.room == 0 { try flush() }
            refill.write(&fragments)
        }
    }

    /// Makes room in the refill ring.
    private func flush() throws(DevmemError) {
        let call = "return memory to the NIC"
        var request = cdm_zcrx_ctrl()
        request.zcrx_id = id
        request.op = cdm_ZCRX_CTRL_FLUSH_RQ
        try ring.register(cdm_IORING_REGISTER_ZCRX_CTRL, &request, count: 0, call)
        guard refill.room > 0 else {
            throw DevmemError(
                .malformed, call: call, message: "the kernel left the refill ring full")
        }
    }
}

import CDevmem
import SystemPackage

/// A thread's ring, by which it receives from a queue that io_uring has. Any connection of the
/// queue can be received with any such ring (`io_zcrx_recv_frag` of io_uring/zcrx.c).
struct ZerocopyRing: ~Copyable {
    /// The number of completions that can wait, if memory does not limit them.
    static let completions: UInt32 = 4096

    /// What completions name as the request that they are of.
    private enum Tag {
        static let receive: UInt64 = 0
        static let cancel: UInt64 = 1
    }

    private var ring: IORing
    private let id: UInt32
    private let area: ZerocopyArea

    /// Joins a registered queue, for the calling thread only.
    ///
    /// - Parameters:
    ///   - exported: the descriptor of the registration.
    ///   - area: the part of the memory that the queue fills.
    ///   - completions: the number of completions that can wait, each of which holds a buffer.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses.
    init(
        joining exported: borrowing Descriptor, area: ZerocopyArea, completions: UInt32
    ) throws(DevmemError) {
        let ring = try IORing(completions: completions)
        try ring.enable()
        var request = cdm_io_uring_zcrx_ifq_reg()
        request.if_idx = UInt32(bitPattern: exported.rawValue)
        request.flags = cdm_ZCRX_REG_IMPORT
        try ring.register(
            cdm_IORING_REGISTER_ZCRX_IFQ, &request, count: 1, "join a queue of io_uring")
        self.ring = ring
        self.area = area
        id = request.zcrx_id
    }

    /// Asks for all payload of a connection, as a request that completes many times.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if too many requests wait.
    mutating func arm(socket: Int32) throws(DevmemError) {
        var request = cdm_io_uring_sqe()
        request.opcode = cdm_IORING_OP_RECV_ZC
        request.ioprio = cdm_IORING_RECV_MULTISHOT
        request.fd = socket
        request.zcrx_ifq_idx = id
        request.user_data = Tag.receive
        try ring.add(request)
    }

    /// Ends the request, whose last completion then says so.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if too many requests wait.
    mutating func cancel() throws(DevmemError) {
        var request = cdm_io_uring_sqe()
        request.opcode = cdm_IORING_OP_ASYNC_CANCEL
        request.fd = -1
        request.addr = Tag.receive
        request.user_data = Tag.cancel
        try ring.add(request)
    }

    /// Submits what was asked for and lets the kernel complete what it can, without blocking.
    ///
    /// - Throws: `DevmemError` of kind `system` if io_uring_enter(2) fails.
    mutating func enter() throws(DevmemError) { try ring.enter() }

    /// Passes completions to a closure in their order.
    ///
    /// - Parameters:
    ///   - limit: the most completions to pass.
    ///   - body: called for each completion.
    /// - Returns: the number of completions.
    /// - Throws: `DevmemError` of kind `malformed` for impossible numbers of the kernel.
    func takeCompletions(
        atMost limit: UInt32, _ body: (ZerocopyCompletion) -> Void
    ) throws(DevmemError) -> Int {
        let area = area
        return try ring.takeCompletions(atMost: limit) { completion throws(DevmemError) in
            guard completion.user_data == Tag.receive else { return }
            body(try ZerocopyCompletion(completion, area))
        }
    }

    /// Returns how many completions may wait, so that their buffers fit in a share of the memory.
    /// A full ring loses nothing and costs one more request. Pure.
    static func completions(share: UInt64, pageSize: UInt32?) -> UInt32 {
        let buffers = ZerocopyInstance.buffers(in: share, pageSize: pageSize)
        let wanted = max(64, min(buffers, UInt64(completions)))
        return UInt32(1) << UInt32(63 - wanted.leadingZeroBitCount)
    }
}

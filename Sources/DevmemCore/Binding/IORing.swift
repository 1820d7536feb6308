import CDevmem
import Glibc

/// A ring that a program shares with the kernel, as places in a mapping. Pure.
struct SharedRing: Equatable, Sendable {
    /// The head's place in bytes.
    let head: Int
    /// The tail's place in bytes.
    let tail: Int
    /// The place of the first entry in bytes.
    let entries: Int
    /// The number of entries, a power of two.
    let count: UInt32

    /// Describes a ring with the kernel's numbers; nil if they are impossible or leave the mapping.
    ///
    /// - Parameters:
    ///   - head: the head's place in bytes.
    ///   - tail: the tail's place in bytes.
    ///   - entries: the place of the first entry in bytes.
    ///   - count: the number of entries.
    ///   - stride: the size of an entry in bytes.
    ///   - size: the size of the mapping in bytes.
    ///   - room: the size of the entries' mapping in bytes, if they have one of their own.
    init?(
        head: UInt32, tail: UInt32, entries: UInt32, count: UInt32, stride: Int, in size: Int,
        entriesIn room: Int? = nil
    ) {
        let room = room ?? size
        guard count > 0, count & (count - 1) == 0, head % 4 == 0, tail % 4 == 0, entries % 8 == 0,
            stride > 0, Int(head) <= size - 4, Int(tail) <= size - 4, Int(entries) <= room,
            Int(count) <= (room - Int(entries)) / stride
        else { return nil }
        self.head = Int(head)
        self.tail = Int(tail)
        self.entries = Int(entries)
        self.count = count
    }

    /// Returns the index of the entry at a position of the head or the tail, which never wrap to
    /// the number of entries.
    func index(_ position: UInt32) -> Int { Int(position & (count - 1)) }
}

/// An io_uring instance for one thread that submits requests and receives their completions, which
/// are of 32 bytes.
///
/// It starts disabled, so that one thread can prepare it for another: the thread that enables it is
/// the one that may use it. The descriptor is readable when completions are to be had.
struct IORing: ~Copyable, Sendable {
    // The mappings come first: while one exists, closing the descriptor frees nothing.
    private let rings: Mapping
    private let requests: Mapping
    private let descriptor: Descriptor
    private let submission: SharedRing
    private let completion: SharedRing
    /// The requests that the next `enter` submits.
    private var unsubmitted: UInt32 = 0

    /// Creates a disabled instance.
    ///
    /// - Parameter completions: the number of completions that it holds.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `malformed` if its answer is
    ///   impossible.
    init(completions: UInt32) throws(DevmemError) {
        let call = "set io_uring up"
        var parameters = cdm_io_uring_params()
        parameters.cq_entries = completions
        parameters.flags =
            cdm_IORING_SETUP_CQSIZE | cdm_IORING_SETUP_R_DISABLED | cdm_IORING_SETUP_SUBMIT_ALL
            | cdm_IORING_SETUP_CQE32 | cdm_IORING_SETUP_SINGLE_ISSUER
            | cdm_IORING_SETUP_DEFER_TASKRUN | cdm_IORING_SETUP_NO_SQARRAY
        let number: Int32
        do throws(DevmemError) {
            number = try retrying(call) { cdm_io_uring_setup(8, &parameters) }
        } catch {
            throw error.errno == .notPermitted
                ? error.advising("sysctl kernel.io_uring_disabled=0 allows it") : error
        }
        let descriptor = Descriptor(owning: number)
        let requestSize = MemoryLayout<cdm_io_uring_sqe>.stride
        let completionSize = MemoryLayout<cdm_io_uring_cqe>.stride
        // One mapping holds both rings (IORING_FEAT_SINGLE_MMAP, Linux 5.4).
        let size = Int(parameters.cq_off.cqes) + Int(parameters.cq_entries) * completionSize
        let requestsSize = Int(parameters.sq_entries) * requestSize
        guard
            let completion = SharedRing(
                head: parameters.cq_off.head, tail: parameters.cq_off.tail,
                entries: parameters.cq_off.cqes, count: parameters.cq_entries,
                stride: completionSize, in: size),
            let submission = SharedRing(
                head: parameters.sq_off.head, tail: parameters.sq_off.tail, entries: 0,
                count: parameters.sq_entries, stride: requestSize, in: size,
                entriesIn: requestsSize)
        else {
            throw DevmemError(.malformed, call: call, message: "the kernel's rings are impossible")
        }
        let rings = try Mapping(descriptor, count: size, offset: Int(cdm_IORING_OFF_SQ_RING))
        let requests = try Mapping(
            descriptor, count: requestsSize, offset: Int(cdm_IORING_OFF_SQES))
        self.rings = rings
        self.requests = requests
        self.descriptor = descriptor
        self.submission = submission
        self.completion = completion
    }

    /// Unmaps the rings and closes the descriptor, in this order.
    consuming func close() {
        drop(rings)
        drop(requests)
    }

    /// Makes the calling thread the one that uses the instance.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses.
    func enable() throws(DevmemError) {
        try register(cdm_IORING_REGISTER_ENABLE_RINGS, nil, count: 0, "enable io_uring")
    }

    /// Calls io_uring_register(2).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses.
    func register(
        _ operation: UInt32, _ argument: UnsafeMutableRawPointer?, count: UInt32, _ call: String
    ) throws(DevmemError) {
        try retrying(call) {
            cdm_io_uring_register(descriptor.rawValue, operation, argument, count)
        }
    }

    /// Maps a region that was registered with this instance.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of mmap(2).
    func map(_ count: Int, at offset: UInt64) throws(DevmemError) -> Mapping {
        try Mapping(descriptor, count: count, offset: Int(truncatingIfNeeded: offset))
    }

    /// Adds a request, which the next `enter` submits.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if too many requests wait.
    mutating func add(_ request: cdm_io_uring_sqe) throws(DevmemError) {
        guard unsubmitted < submission.count else {
            throw DevmemError(.invalid, call: "submit to io_uring", message: "the ring is full")
        }
        let ring = submission
        let tail = rings.loadAcquiring(at: ring.tail)
        requests.withUnsafeMutableBytes {
            $0.storeBytes(
                of: request,
                toByteOffset: ring.index(tail) * MemoryLayout<cdm_io_uring_sqe>.stride,
                as: cdm_io_uring_sqe.self)
        }
        rings.storeReleasing(tail &+ 1, at: ring.tail)
        unsubmitted += 1
    }

    /// Submits requests and lets the kernel complete what it can, without blocking.
    ///
    /// - Throws: `DevmemError` of kind `system` if io_uring_enter(2) fails.
    mutating func enter() throws(DevmemError) {
        let submitted = try retrying("enter io_uring") {
            cdm_io_uring_enter(descriptor.rawValue, unsubmitted, 0, cdm_IORING_ENTER_GETEVENTS)
        }
        unsubmitted -= min(unsubmitted, UInt32(clamping: submitted))
    }

    /// Passes completions to a closure in their order, and frees their places.
    ///
    /// - Parameters:
    ///   - limit: the most completions to pass.
    ///   - body: called for each completion.
    /// - Returns: the number of completions.
    /// - Throws: `DevmemError` of kind `malformed` for an impossible tail, and what `body` throws.
    func takeCompletions(
        atMost limit: UInt32, _ body: (cdm_io_uring_cqe) throws(DevmemError) -> Void
    ) throws(DevmemError) -> Int {
        let ring = completion
        let head = rings.loadAcquiring(at: ring.head)
        let ready = rings.loadAcquiring(at: ring.tail) &- head
        guard ready <= ring.count else {
            throw DevmemError(
                .malformed, call: "receive completions of io_uring",
                message: "\(ready) completions in a ring of \(ring.count)")
        }
        let count = min(ready, limit)
        try rings.withUnsafeBytes { bytes throws(DevmemError) in
            for step in 0..<count {
                let place = ring.index(head &+ step) * MemoryLayout<cdm_io_uring_cqe>.stride
                try body(
                    bytes.load(fromByteOffset: ring.entries + place, as: cdm_io_uring_cqe.self))
            }
        }
        rings.storeReleasing(head &+ count, at: ring.head)
        return Int(count)
    }
}

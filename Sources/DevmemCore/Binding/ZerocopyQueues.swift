import Logging
import Synchronization

/// The receive queues that io_uring has, each with a dma-buf of its own, shared by the threads that
/// receive from them.
final class ZerocopyQueues: Sendable {
    private let interface: NetworkInterface
    private let ids: [UInt32]
    private let queues: [ZerocopyQueue]
    private let partSize: Int
    /// Which queue a NAPI instance serves, as far as known; a reset of the NIC may change it.
    private let places = Mutex<[UInt32: Int]>([:])

    /// Lets io_uring receive from queues.
    ///
    /// - Parameters:
    ///   - memory: the memory, with a part for each queue.
    ///   - interface: the NIC.
    ///   - ids: the queues.
    ///   - pageSize: the size in bytes of the buffers that the NIC fills; nil for one page.
    ///   - logger: logs queues that do not become free after a failure.
    /// - Throws: `DevmemError` as `ZerocopyInstance`; then no queue is held.
    init(
        _ memory: borrowing DmabufMemory, of interface: NetworkInterface, queues ids: [UInt32],
        pageSize: UInt32?, logger: Logger
    ) throws(DevmemError) {
        var queues: [ZerocopyQueue] = []
        do throws(DevmemError) {
            for (part, id) in ids.enumerated() {
                queues.append(
                    try ZerocopyQueue(
                        memory, part: part, of: interface, queue: id, pageSize: pageSize))
            }
        } catch {
            queues.forEach { $0.release(logger) }
            throw error
        }
        self.interface = interface
        self.ids = ids
        self.queues = queues
        partSize = memory.partSize
    }

    /// The number of queues, and of parts of the memory.
    var count: Int { queues.count }

    /// Returns the place of the queue that a connection's packets come from.
    ///
    /// - Parameter napiID: the NAPI instance of its last packet; nil if unknown.
    /// - Returns: a place less than `count`; nil if that queue is none of these.
    func place(ofNAPI napiID: UInt32?) -> Int? {
        guard let napiID else { return nil }
        return places.withLock { places in
            if let known = places[napiID] { return known }
            let found = try? DevmemCore.queues(ofInterface: interface.index)
            places = Self.places(of: ids, in: found ?? [])
            return places[napiID]
        }
    }

    /// Returns which queue each NAPI instance serves. Pure.
    static func places(of ids: [UInt32], in queues: [QueueInfo]) -> [UInt32: Int] {
        var places: [UInt32: Int] = [:]
        for queue in queues where queue.type == .rx {
            if let napiID = queue.napiID, let place = ids.firstIndex(of: queue.id) {
                places[napiID] = place
            }
        }
        return places
    }

    /// The capabilities that a thread needs to make more rings than its first: it does so if a
    /// connection moves to another queue.
    var capabilities: CapabilitySet { count > 1 ? .netAdmin : [] }

    /// Makes a ring for the calling thread, which closes it before the queues are released. The kernel
    /// asks for CAP_NET_ADMIN each time (`io_register_zcrx` of io_uring/zcrx.c).
    ///
    /// - Parameters:
    ///   - place: the place of the queue.
    ///   - share: the memory in bytes that unread payload may hold in the ring; nil for no limit.
    /// - Returns: the ring.
    /// - Throws: `DevmemError` as `ZerocopyQueue.makeRing`.
    func makeRing(at place: Int, share: UInt64?) throws(DevmemError) -> ZerocopyRing {
        try withCapabilities(.netAdmin) { () throws(DevmemError) in
            try queues[place].makeRing(share: share)
        }
    }

    /// Returns fragments to the NIC, each exactly once, on any thread, and removes those that were
    /// returned.
    ///
    /// - Throws: `DevmemError` as `ZerocopyQueue.giveBack`.
    func giveBack(_ fragments: inout [ZerocopyFragment]) throws(DevmemError) {
        guard queues.count > 1 else { return try queues[0].giveBack(&fragments) }
        try Self.giveBack(&fragments, partSize: partSize) { part, run throws(DevmemError) in
            try queues[part].giveBack(&run)
        }
    }

    /// Returns each fragment to the queue whose part of the memory it is in. Those of one receive
    /// call come from one queue, so that there is mostly one run.
    ///
    /// - Parameters:
    ///   - fragments: the fragments; those that were returned are removed.
    ///   - partSize: the size in bytes of each part.
    ///   - give: returns fragments of one part and removes them.
    /// - Throws: `DevmemError` of `give`; the rest, what it left included, is still in `fragments`.
    static func giveBack(
        _ fragments: inout [ZerocopyFragment], partSize: Int,
        _ give: (_ part: Int, _ run: inout [ZerocopyFragment]) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        while let first = fragments.first {
            let part = first.offset / partSize
            guard let end = fragments.firstIndex(where: { $0.offset / partSize != part }) else {
                return try give(part, &fragments)
            }
            var run = Array(fragments[..<end])
            fragments.removeFirst(end)
            do throws(DevmemError) {
                try give(part, &run)
            } catch {
                fragments += run
                throw error
            }
        }
    }

    /// Gives the queues up and waits until they are free.
    func release(_ logger: Logger) { queues.forEach { $0.release(logger) } }
}

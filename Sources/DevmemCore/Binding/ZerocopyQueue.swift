import Glibc
import Logging
import Synchronization

/// A receive queue that io_uring has, shared by the threads that receive from it.
final class ZerocopyQueue: Sendable {
    /// How long the kernel may need to give the queue back; it does so in the background.
    private static let timeout = Duration.seconds(5)

    // Nil once the queue is given up: payload that is still kept must not hold it.
    private let instance: Mutex<ZerocopyInstance?>
    private let interface: NetworkInterface
    private let queue: UInt32
    private let pageSize: UInt32?

    /// Lets io_uring receive from a queue into one of the memory's dma-bufs.
    ///
    /// - Throws: `DevmemError` as `ZerocopyInstance`.
    init(
        _ memory: borrowing DmabufMemory, part: Int, of interface: NetworkInterface,
        queue: UInt32, pageSize: UInt32?
    ) throws(DevmemError) {
        instance = Mutex(
            try ZerocopyInstance(
                memory, part: part, of: interface, queue: queue, pageSize: pageSize))
        self.interface = interface
        self.queue = queue
        self.pageSize = pageSize
    }

    /// Makes a ring for the calling thread, which closes it before the queue is released.
    ///
    /// - Parameter share: the memory in bytes that unread payload may hold in the ring; nil for no
    ///   limit.
    /// - Returns: the ring.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `invalid` if the queue was
    ///   released.
    func makeRing(share: UInt64?) throws(DevmemError) -> ZerocopyRing {
        try instance.withLock { instance throws(DevmemError) in
            switch instance {
            case .some(let open):
                try ZerocopyRing(
                    joining: open.exported, area: open.area,
                    completions: share.map {
                        ZerocopyRing.completions(share: $0, pageSize: pageSize)
                    } ?? ZerocopyRing.completions)
            case .none:
                throw DevmemError(
                    .invalid, call: "receive by io_uring", message: "the queue was released")
            }
        }
    }

    /// Returns fragments to the NIC, each exactly once, on any thread, and removes those that were
    /// returned. Once the queue is released the kernel has taken all buffers back (`io_zcrx_scrub`
    /// of io_uring/zcrx.c).
    ///
    /// - Throws: `DevmemError` of kind `system` or `malformed` if the kernel does not take the rest.
    func giveBack(_ fragments: inout [ZerocopyFragment]) throws(DevmemError) {
        try instance.withLock { instance throws(DevmemError) in
            try instance?.giveBack(&fragments)
        }
        fragments.removeAll(keepingCapacity: true)
    }

    /// Gives the queue up and waits until it is free: until then the kernel refuses to turn header
    /// split off. Logs a queue that does not become free.
    func release(_ logger: Logger) {
        instance.withLock { instance in
            if let open = instance.take() { open.close() }
        }
        if Self.becomesFree(within: Self.timeout, isHeld: { isHeld }) { return }
        logger.warning(
            "\(interface.name): io_uring still has queue \(queue) after \(Self.timeout)")
    }

    /// Waits until a queue is free, for which there is no event.
    ///
    /// - Returns: false if it is still held at the end of the time.
    static func becomesFree(within limit: Duration, isHeld: () -> Bool) -> Bool {
        let end = Deadline.after(limit)
        var pause = Duration.microseconds(100)
        while isHeld() {
            guard end.milliseconds > 0 else { return false }
            usleep(UInt32(pause / .microseconds(1)))
            pause = min(pause * 2, .milliseconds(20))
        }
        return true
    }

    private var isHeld: Bool {
        guard let queues = try? queues(ofInterface: interface.index) else { return false }
        return queues.contains { $0.type == .rx && $0.id == queue && $0.hasIOUring }
    }
}

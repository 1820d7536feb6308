import Glibc
import Logging
import Synchronization

/// A receive queue that io_uring uses, and its ring until a thread takes it.
final class ZerocopyQueue: Sendable {
    /// How long the kernel may need to give the queue back; it does so in the background.
    private static let timeout = Duration.seconds(5)

    private let ring: Mutex<ZerocopyRing?>
    private let interface: NetworkInterface
    private let queue: UInt32

    init(_ ring: consuming sending ZerocopyRing, of interface: NetworkInterface, queue: UInt32) {
        self.ring = Mutex(ring)
        self.interface = interface
        self.queue = queue
    }

    /// Hands the ring to a thread, which closes it. Nil if another has taken it.
    func take() -> ZerocopyRing? {
        ring.withLock { ring in
            let taken = ring
            ring = nil
            return taken
        }
    }

    /// Closes the ring, if no thread has taken it, and waits until the queue is free: until then the
    /// kernel refuses to turn header split off. Logs a queue that does not become free.
    func release(_ logger: Logger) {
        if let ring = take() { ring.close() }
        let end = Deadline.after(Self.timeout)
        var pause = Duration.microseconds(100)
        while isHeld {
            guard end.milliseconds > 0 else {
                logger.warning(
                    "\(interface.name): io_uring still has queue \(queue) after \(Self.timeout)")
                return
            }
            usleep(UInt32(pause / .microseconds(1)))
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    private var isHeld: Bool {
        guard let queues = try? queues(ofInterface: interface.index) else { return false }
        return queues.contains { $0.type == .rx && $0.id == queue && $0.hasIOUring }
    }
}

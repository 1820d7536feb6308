/// Divides a dma-buf between the NIC's rings and unread payload, so that the NIC never runs out of
/// buffers: a connection that is not being read returns no memory. Pure.
struct ReceiveBudget: Equatable, Sendable {
    /// The memory in bytes that is divided.
    let memory: UInt64
    /// The limit in bytes on the unread payload of an accepted connection.
    let share: UInt64
    /// The backlog for listen(2).
    let backlog: Int32
    /// The receive buffer in bytes of a connection before it is accepted.
    let initial: UInt64
    /// The memory in bytes that all connections waiting to be accepted may hold.
    let waiting: UInt64

    /// The number of connections that should be able to wait. The kernel may reset one that does
    /// not fit in the backlog.
    private static let wantedBacklog: UInt64 = 256
    /// The largest useful backlog.
    private static let maximumBacklog: UInt64 = 4096
    /// Roughly the smallest receive buffer (SOCK_MIN_RCVBUF of net/sock.h).
    private static let minimumBuffer: UInt64 = 4608

    /// Divides the memory. The NIC's rings come first and get at least an eighth, because not every
    /// NIC reports their size. Waiting connections share a quarter of the rest, and accepted ones
    /// what is left. With several connections each may hold its share again in a receive call that
    /// is blocked on its output; a single connection blocks no other.
    ///
    /// - Parameters:
    ///   - memory: the size of the dma-buf in bytes.
    ///   - rings: the size of the NIC's rings in bytes; 0 if unknown.
    ///   - listeners: the number of listening sockets, on each of which one connection can wait.
    ///   - connections: the number of simultaneous connections.
    ///   - keepsListening: whether connections may wait while others are served.
    ///   - initial: the kernel's initial receive buffer in bytes.
    init(
        memory: UInt64, rings: UInt64, listeners: Int = 1, connections: Int, keepsListening: Bool,
        initial: UInt64
    ) {
        self.memory = memory
        let free = memory - max(min(rings, memory / 2), memory / 8)
        let pool = free / 4
        // Packets already in flight may exceed the buffer.
        self.initial =
            keepsListening
            ? max(Self.minimumBuffer, min(initial, pool / Self.wantedBacklog / 2))
            : max(Self.minimumBuffer, min(initial, 1 << 30))
        let one = self.initial * 2
        let least = UInt64(clamping: max(1, min(listeners, 64)))
        let places = min(max(least, pool / one), Self.maximumBacklog)
        backlog = Int32(clamping: places - 1)
        waiting = min(places * one, free / 2)
        let many = UInt64(clamping: max(1, min(connections, 1 << 20)))
        let left = keepsListening ? free - waiting : free
        share = max(4096, left / (many == 1 ? 1 : 2 * many))
    }
}

/// Returns the largest receive buffer in bytes that the kernel sets by itself (net.ipv4.tcp_rmem);
/// nil if unknown.
func largestReceiveBuffer() -> UInt64? {
    guard let sizes = try? numbers(in: "/proc/sys/net/ipv4/tcp_rmem"), sizes.count == 3 else {
        return nil
    }
    return sizes[2]
}

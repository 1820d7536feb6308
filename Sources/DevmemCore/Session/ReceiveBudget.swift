/// How much of a dma-buf the connections of a session may hold, so that the NIC always has memory to
/// go on with: a connection that waits to be accepted, or to be read, gives nothing back. Pure.
struct ReceiveBudget: Equatable, Sendable {
    /// Bytes that unread payload of one accepted connection may hold.
    let share: UInt64
    /// How many more than one may wait to be accepted.
    let backlog: Int32
    /// Bytes of the receive buffer that a connection has before it is accepted.
    let initial: UInt64
    /// Bytes that those who wait may hold together.
    let waiting: UInt64

    /// So many connections shall be able to wait. One that finds no place may be reset by the kernel
    /// when it has waited for long.
    private static let wantedPlaces: UInt64 = 256
    /// The longest queue of connections that is worth having.
    private static let mostPlaces: UInt64 = 4096
    /// The smallest receive buffer (SOCK_MIN_RCVBUF of net/sock.h), more or less.
    private static let leastBuffer: UInt64 = 4608

    /// Shares memory out: the NIC's rings are served first, with an eighth at least, as not every NIC
    /// tells of them. Connections that wait have a quarter of the rest, those that are accepted what is
    /// left. Of several, each may hold as much again in the call that waits for its output; a single one
    /// keeps nobody waiting.
    ///
    /// - Parameters:
    ///   - memory: bytes of the dma-buf.
    ///   - rings: bytes that the NIC's rings hold; zero if that is not known.
    ///   - listeners: sockets that listen, at each of which one can wait.
    ///   - connections: connections at once.
    ///   - keepsListening: whether more may wait while they are served.
    ///   - initial: bytes of the receive buffer that the kernel gives a connection at first.
    init(
        memory: UInt64, rings: UInt64, listeners: Int = 1, connections: Int, keepsListening: Bool,
        initial: UInt64
    ) {
        let free = memory - max(min(rings, memory / 2), memory / 8)
        let pool = free / 4
        // The kernel lets packets that are already on their way exceed the buffer.
        self.initial =
            keepsListening
            ? max(Self.leastBuffer, min(initial, pool / Self.wantedPlaces / 2))
            : max(Self.leastBuffer, min(initial, 1 << 30))
        let one = self.initial * 2
        let least = UInt64(clamping: max(1, min(listeners, 64)))
        let places = min(max(least, pool / one), Self.mostPlaces)
        backlog = Int32(clamping: places - 1)
        waiting = min(places * one, free / 2)
        let many = UInt64(clamping: max(1, min(connections, 1 << 20)))
        let left = keepsListening ? free - waiting : free
        share = max(4096, left / (many == 1 ? 1 : 2 * many))
    }
}

/// The most that the kernel lets the receive buffer of a connection grow to by itself
/// (net.ipv4.tcp_rmem); nil if it does not tell.
func largestReceiveBuffer() -> UInt64? {
    guard let sizes = try? numbers(in: "/proc/sys/net/ipv4/tcp_rmem"), sizes.count == 3 else {
        return nil
    }
    return sizes[2]
}

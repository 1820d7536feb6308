import CDevmem
import Glibc
import Logging

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

/// What the rings of a NIC's receive queues take of a dma-buf. Pure.
struct RingDemand: Equatable, Sendable {
    /// Buffers of one ring.
    let entries: UInt64
    /// Queues that the dma-buf is bound to.
    let queues: UInt64
    /// Bytes of a buffer.
    let pageSize: UInt64

    /// - Parameters:
    ///   - sizes: how many descriptors the rings have, by ethtool's name of the ring.
    ///   - queues: queues that the dma-buf is bound to.
    ///   - pageSize: bytes of a buffer; nil for a page of memory.
    init(_ sizes: [String: UInt32], queues: Int, pageSize: UInt32?) {
        // Where there is a ring for large packets, payload lies in that one's buffers.
        let jumbo = sizes["rx-jumbo"] ?? 0
        entries = UInt64(jumbo > 0 ? jumbo : sizes["rx"] ?? 0)
        self.queues = UInt64(clamping: max(0, queues))
        self.pageSize = UInt64(pageSize ?? 4096)
    }

    /// Bytes in all.
    var bytes: UInt64 {
        let (ring, isHuge) = entries.multipliedReportingOverflow(by: pageSize)
        let (all, isTooMany) = ring.multipliedReportingOverflow(by: queues)
        return isHuge || isTooMany ? .max : all
    }

    /// Why a dma-buf is too small for the rings; nil if it is not.
    func shortage(of memory: UInt64) -> String? {
        guard memory <= bytes, bytes < 1 << 62 else { return nil }
        // As much again for what waits to be read.
        let enough = (bytes * 2 + (1 << 20) - 1) >> 20
        let many = queues == 1 ? "1 queue" : "\(queues) queues"
        return "a dma-buf of \(ByteCount.text(memory)) is too small for the receive rings: "
            + "\(many) of \(entries) buffers of \(ByteCount.text(pageSize)) take "
            + "\(ByteCount.text(bytes)), and packets that find no buffer are lost; \(enough)M would do"
    }
}

extension RingDemand {
    /// Asks a NIC; one that does not tell has rings that take nothing.
    init(of interface: NetworkInterface, queues: Int, pageSize: UInt32?) {
        let nic = try? EthtoolNetlink(interface)
        let rings: RingSettings? =
            switch nic {
            case .some(let open): try? open.rings()
            case .none: nil
            }
        self.init(rings?.sizes ?? [:], queues: queues, pageSize: pageSize)
    }

    /// Warns of a dma-buf that is too small for the rings.
    func warn(of memory: UInt64, on interface: NetworkInterface, logger: Logger) {
        if let shortage = shortage(of: memory) { logger.warning("\(interface.name): \(shortage)") }
    }
}

extension Connection {
    /// Bounds the memory that unread payload may hold, which was the system's choice so far.
    ///
    /// - Returns: the bound that the kernel set.
    /// - Throws: `DevmemError` of kind `system` as setsockopt(2) fails.
    func bound(to bytes: UInt64) throws(DevmemError) -> BufferBound {
        let call = "bound the receive buffer of \(peer)"
        let bound = try boundReceiveBuffer(of: socket, to: bytes, call)
        // A window does not grow beyond what it was clamped to at the handshake unless it is said.
        try setOption(
            socket, cdm_IPPROTO_TCP, TCP_WINDOW_CLAMP, Int32(clamping: bytes),
            call)
        return bound
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

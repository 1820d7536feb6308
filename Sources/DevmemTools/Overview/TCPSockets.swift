import CDevmem
import DevmemCore
/// A TCP socket of this network namespace, as procfs lists it
/// (Documentation/networking/proc_net_tcp.rst).
struct TCPSocket: Equatable, Sendable {
    /// The states that follow the peer's FIN.
    private static let statesAfterEnd: Set<UInt8> = [
        cdm_TCP_CLOSE, cdm_TCP_CLOSE_WAIT, cdm_TCP_LAST_ACK, cdm_TCP_CLOSING,
    ]
    /// The state of a listening socket (net/tcp_states.h).
    static let listening = cdm_TCP_LISTEN

    /// The local endpoint.
    var local: Endpoint
    /// The remote endpoint.
    var remote: Endpoint
    /// The number of the state in net/tcp_states.h.
    var state: UInt8
    /// The number of unread bytes; for a listening socket, of connections to accept.
    var receiveQueue: UInt64
    /// The inode; zero if no process has the socket open, such as before accept(2).
    var inode: UInt64

    /// Parses a line of `/proc/net/tcp` or `/proc/net/tcp6`; nil for the heading.
    init?(_ line: Substring) {
        // 0: 010200C0:1451 020200C0:9C40 01 00000000:0000A000 00:00000000 00000000 0 0 5713 ...
        let fields = line.split(separator: " ")
        guard fields.count > 9, let local = Self.endpoint(fields[1]),
            let remote = Self.endpoint(fields[2]), let state = UInt8(fields[3], radix: 16),
            let waiting = fields[4].split(separator: ":").last,
            let receiveQueue = UInt64(waiting, radix: 16), let inode = UInt64(fields[9])
        else { return nil }
        self.local = local
        self.remote = remote
        self.state = state
        // Until it is read, the peer's FIN counts as a byte.
        let hasEnd = receiveQueue > 0 && Self.statesAfterEnd.contains(state)
        self.receiveQueue = receiveQueue - (hasEnd ? 1 : 0)
        self.inode = inode
    }

    /// Returns the sockets of both address families.
    static func all() -> [TCPSocket] {
        ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { lines(of: $0).compactMap(TCPSocket.init) }
    }

    /// Parses an address in 32-bit words, each a hexadecimal number in the host's byte order,
    /// followed by a colon and the port.
    private static func endpoint(_ text: Substring) -> Endpoint? {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return nil }
        var bytes: [UInt8] = []
        var rest = parts[0]
        while rest.count >= 8 {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            withUnsafeBytes(of: word) { bytes += $0 }
            rest = rest.dropFirst(8)
        }
        guard rest.isEmpty, let address = IPAddress(bytes: bytes) else { return nil }
        return Endpoint(address: address, port: port)
    }
}

/// Returns the inodes of the generic netlink sockets of this network namespace.
func genericNetlinkSockets() -> Set<UInt64> {
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; Eth is the protocol.
    Set(
        lines(of: "/proc/net/netlink").compactMap { line in
            let fields = line.split(separator: " ")
            return fields.count > 9 && fields[1] == "\(cdm_NETLINK_GENERIC)"
                ? UInt64(fields[9]) : nil
        })
}

import CDevmem
import Glibc
import SystemPackage

/// A named, unconnected unix datagram socket of this network namespace, as reported by `unix_diag`.
/// Unlike `/proc/net/unix`, that reports names byte for byte and the owner.
struct UnixSocket: Equatable, Sendable {
    /// Its name; abstract names begin with a zero byte.
    var name: [UInt8]
    /// The user id of its creator, in this user namespace.
    var user: uid_t
    /// Its inode, as shown by the links in `/proc/PID/fd`.
    var inode: UInt64
}

/// Numbers of linux/sock_diag.h and linux/unix_diag.h.
private enum UnixDiag {
    static let netlinkSockDiag = cdm_NETLINK_SOCK_DIAG
    static let byFamily = cdm_SOCK_DIAG_BY_FAMILY
    /// `struct unix_diag_req`.
    static let requestLength = cdm_unix_diag_req_size
    static let requestStates = cdm_unix_diag_req_states
    static let requestShow = cdm_unix_diag_req_show
    /// `struct unix_diag_msg`, which stands before the attributes.
    static let replyLength = cdm_unix_diag_msg_size
    static let replyType = cdm_unix_diag_msg_type
    static let replyInode = cdm_unix_diag_msg_ino
    /// The state of a socket that is neither connected nor listens, as a bit.
    static let unconnected = UInt32(1) << UInt32(cdm_TCP_CLOSE)
    static let showName = cdm_UDIAG_SHOW_NAME
    /// From Linux 5.3 on.
    static let showUser = cdm_UDIAG_SHOW_UID
    static let name = cdm_UNIX_DIAG_NAME
    static let user = cdm_UNIX_DIAG_UID
    /// `SOCK_DGRAM`; Linux uses another number only on MIPS.
    static let datagram = UInt8(truncatingIfNeeded: cdm_SOCK_DGRAM)
}

extension UnixSocket {
    /// Parses a reply; nil if the socket is of another type or has no name.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the kernel does not report the owner.
    init?(_ payload: ArraySlice<UInt8>) throws(DevmemError) {
        let start = payload.startIndex
        guard payload.count >= UnixDiag.replyLength,
            payload[start + UnixDiag.replyType] == UnixDiag.datagram
        else { return nil }
        let attributes = try NetlinkAttributes(payload.dropFirst(UnixDiag.replyLength))
        guard let name = attributes[UnixDiag.name]?.payload, !name.isEmpty else { return nil }
        guard let user = attributes.uint32(UnixDiag.user) else {
            throw DevmemError(
                .unsupported, call: "list unix sockets",
                message: "the kernel does not report their owners; Linux 5.3 and newer do")
        }
        self.init(
            name: Array(name), user: user,
            inode: UInt64(payload.number32(at: start + UnixDiag.replyInode)))
    }

    /// Lists the sockets.
    ///
    /// - Returns: the sockets; nil if the kernel has no unix_diag.
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the request fails.
    static func all() throws(DevmemError) -> [UnixSocket]? {
        let socket = try NetlinkSocket(
            protocol: UnixDiag.netlinkSockDiag,
            familyHeaderLength: UnixDiag.replyLength)
        var header = [UInt8](repeating: 0, count: UnixDiag.requestLength)
        header[cdm_unix_diag_req_family] = UInt8(AF_UNIX)
        header.store(UnixDiag.unconnected, at: UnixDiag.requestStates)
        header.store(
            UnixDiag.showName | UnixDiag.showUser, at: UnixDiag.requestShow)
        let message = try NetlinkMessage(type: UnixDiag.byFamily, header: header, dump: true)
        let replies: [ArraySlice<UInt8>]
        do throws(DevmemError) {
            replies = try socket.payloads(message, operation: "list unix sockets")
        } catch {
            // A dump never returns ENOENT for a socket, so unix_diag itself is missing.
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            return nil
        }
        var sockets: [UnixSocket] = []
        for payload in replies {
            if let socket = try UnixSocket(payload) { sockets.append(socket) }
        }
        return sockets
    }
}

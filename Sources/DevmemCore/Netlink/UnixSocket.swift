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
private enum UnixDiagnosis {
    static let netlinkSocketDiagnosis: Int32 = 4
    static let byFamily: UInt16 = 20
    /// struct unix_diag_req: family, protocol, padding, states, inode, attributes to show, cookie.
    static let requestLength = 24
    static let requestStates = 4
    static let requestShow = 12
    /// struct unix_diag_msg before the attributes: family, type, state, padding, inode, cookie.
    static let replyLength = 16
    static let replyType = 1
    static let replyInode = 4
    /// `TCP_CLOSE` of the kernel's net/tcp_states.h: neither connected nor listening.
    static let unconnected: UInt32 = 1 << 7
    static let showName: UInt32 = 1 << 0
    /// UDIAG_SHOW_UID, since Linux 5.3.
    static let showUser: UInt32 = 1 << 6
    static let name: UInt16 = 0
    static let user: UInt16 = 7
    /// `SOCK_DGRAM`; Linux uses another number only on MIPS.
    static let datagram = UInt8(truncatingIfNeeded: cdm_SOCK_DGRAM)
}

extension UnixSocket {
    /// Parses a reply; nil if the socket is of another type or has no name.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the kernel does not report the owner.
    init?(_ payload: ArraySlice<UInt8>) throws(DevmemError) {
        let start = payload.startIndex
        guard payload.count >= UnixDiagnosis.replyLength,
            payload[start + UnixDiagnosis.replyType] == UnixDiagnosis.datagram
        else { return nil }
        let attributes = try NetlinkAttributes(payload.dropFirst(UnixDiagnosis.replyLength))
        guard let name = attributes[UnixDiagnosis.name]?.payload, !name.isEmpty else { return nil }
        guard let user = attributes.uint32(UnixDiagnosis.user) else {
            throw DevmemError(
                .unsupported, call: "list unix sockets",
                message: "the kernel does not report their owners; Linux 5.3 and newer do")
        }
        self.init(
            name: Array(name), user: user,
            inode: UInt64(payload.number32(at: start + UnixDiagnosis.replyInode)))
    }

    /// Lists the sockets.
    ///
    /// - Returns: the sockets; nil if the kernel has no unix_diag.
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the request fails.
    static func all() throws(DevmemError) -> [UnixSocket]? {
        let socket = try NetlinkSocket(
            protocol: UnixDiagnosis.netlinkSocketDiagnosis,
            familyHeaderLength: UnixDiagnosis.replyLength)
        var header = [UInt8](repeating: 0, count: UnixDiagnosis.requestLength)
        header[0] = UInt8(AF_UNIX)
        header.store(UnixDiagnosis.unconnected, at: UnixDiagnosis.requestStates)
        header.store(
            UnixDiagnosis.showName | UnixDiagnosis.showUser, at: UnixDiagnosis.requestShow)
        let message = try NetlinkMessage(type: UnixDiagnosis.byFamily, header: header, dump: true)
        let replies: [ArraySlice<UInt8>]
        do throws(DevmemError) {
            replies = try socket.payloads(message, call: "list unix sockets")
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

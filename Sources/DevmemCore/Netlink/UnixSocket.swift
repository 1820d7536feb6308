import CDevmem
import Glibc
import SystemPackage

/// Numbers of linux/sock_diag.h and linux/unix_diag.h.
private enum UnixDiagnosis {
    static let netlinkSocketDiagnosis: Int32 = 4
    static let byFamily: UInt16 = 20
    /// struct unix_diag_req: family, protocol, padding, states, inode, what to show, cookie.
    static let requestLength = 24
    static let requestInode = 8
    static let requestShow = 12
    static let requestCookie = 16
    /// struct unix_diag_msg before the attributes.
    static let replyLength = 16
    /// UDIAG_SHOW_UID, from Linux 5.3 on.
    static let showUser: UInt32 = 1 << 6
    static let user: UInt16 = 7
}

/// The user that has made a unix socket of this network namespace; nil if there is no such socket.
///
/// - Parameter inode: its inode, as `/proc/net/unix` lists it.
/// - Returns: the user's number.
/// - Throws: `DevmemError` of kind `unsupported` if the kernel does not tell.
func ownerOfUnixSocket(_ inode: UInt64) throws(DevmemError) -> uid_t? {
    if let user = try diagnosedUser(inode) { return user }
    // A kernel without unix_diag answers ENOENT, too; so it is asked of a socket that there is.
    let call = "look up unix socket \(inode)"
    let number = try retrying(call) {
        socket(AF_UNIX, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0)
    }
    let known = Descriptor(owning: number)
    var status = stat()
    try retrying(call) { fstat(known.rawValue, &status) }
    guard try diagnosedUser(UInt64(status.st_ino)) != nil else {
        throw DevmemError(.unsupported, call: call, message: "the kernel has no unix_diag")
    }
    return nil
}

/// The user of a socket; nil if there is no such socket, or the kernel does not tell.
private func diagnosedUser(_ inode: UInt64) throws(DevmemError) -> uid_t? {
    guard let number = UInt32(exactly: inode) else { return nil }
    let socket = try NetlinkSocket(
        protocol: UnixDiagnosis.netlinkSocketDiagnosis,
        familyHeaderLength: UnixDiagnosis.replyLength)
    var header = [UInt8](repeating: 0, count: UnixDiagnosis.requestLength)
    header[0] = UInt8(AF_UNIX)
    header.store(number, at: UnixDiagnosis.requestInode)
    header.store(UnixDiagnosis.showUser, at: UnixDiagnosis.requestShow)
    // Any cookie.
    header.store(UInt64.max, at: UnixDiagnosis.requestCookie)
    let message = try NetlinkMessage(type: UnixDiagnosis.byFamily, header: header)
    do throws(DevmemError) {
        let reply = try socket.request(message, call: "look up unix socket \(inode)").first
        return reply?.uint32(UnixDiagnosis.user)
    } catch {
        guard error.errno == .noSuchFileOrDirectory else { throw error }
        return nil
    }
}

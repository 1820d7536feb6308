import CDevmem
import Glibc
import SystemPackage

/// The limit on a socket's unread payload, as requested and as set by the kernel.
package struct ReceiveBufferLimit: Equatable, Sendable {
    /// The requested limit in bytes.
    var wanted: UInt64
    /// The limit in bytes that the kernel set.
    var actual: UInt64

    /// A sentence if the limit is lower than requested; otherwise nil.
    package var shortfall: String? {
        guard actual < wanted else { return nil }
        return "a connection's receive buffer holds \(ByteCount.text(actual)), not "
            + "\(ByteCount.text(wanted)), because without CAP_NET_ADMIN net.core.rmem_max limits it; "
            + "goodput may be lower"
    }
}

/// Limits the unread payload of a socket, or of each connection of a listener. With CAP_NET_ADMIN,
/// net.core.rmem_max does not apply (SO_RCVBUFFORCE of socket(7)).
///
/// - Returns: the limit that the kernel set, which may be lower without an error.
/// - Throws: `DevmemError` of kind `system` if setsockopt(2) or getsockopt(2) fails.
package func limitReceiveBuffer(
    of socket: borrowing Descriptor, to bytes: UInt64, _ call: String
) throws(DevmemError) -> ReceiveBufferLimit {
    // The kernel doubles the value to allow for bookkeeping overhead (socket(7)).
    let half = Int32(min(bytes / 2, UInt64(Int32.max / 2)))
    do throws(DevmemError) {
        try setOption(socket, SOL_SOCKET, SO_RCVBUFFORCE, half, call)
    } catch {
        guard error.errno == .notPermitted else { throw error }
        try setOption(socket, SOL_SOCKET, SO_RCVBUF, half, call)
    }
    let number = socket.rawValue
    var actual: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    try retrying(call) { getsockopt(number, SOL_SOCKET, SO_RCVBUF, &actual, &length) }
    return ReceiveBufferLimit(wanted: UInt64(half) * 2, actual: UInt64(max(actual, 0)))
}

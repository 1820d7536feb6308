import CDevmem
import Glibc
import SystemPackage

/// How much unread payload a socket may hold: what was asked for, and what the kernel set.
package struct BufferBound: Equatable, Sendable {
    /// Bytes asked for.
    var wanted: UInt64
    /// Bytes set.
    var actual: UInt64

    /// A sentence if it is less than was asked for; nil if it is not.
    package var shortfall: String? {
        guard actual < wanted else { return nil }
        return "a connection's receive buffer holds \(ByteCount.text(actual)), not "
            + "\(ByteCount.text(wanted)), because without CAP_NET_ADMIN net.core.rmem_max limits it; "
            + "goodput may be lower"
    }
}

/// Bounds what the unread payload of a socket, or of each connection of a listener, may hold. With
/// CAP_NET_ADMIN net.core.rmem_max does not bound the bound (SO_RCVBUFFORCE of socket(7)).
///
/// - Returns: the bound that the kernel set, which it never tells by an error.
/// - Throws: `DevmemError` of kind `system` if the socket fails.
package func boundReceiveBuffer(
    of socket: borrowing Descriptor, to bytes: UInt64, _ call: String
) throws(DevmemError) -> BufferBound {
    // The kernel doubles the number, for what it keeps of each packet besides (socket(7)).
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
    return BufferBound(wanted: UInt64(half) * 2, actual: UInt64(max(actual, 0)))
}

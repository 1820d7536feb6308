import Glibc

/// Sets an integer socket option.
///
/// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
package func setOption(
    _ socket: borrowing Descriptor, _ level: Int32, _ option: Int32, _ value: Int32, _ call: String
) throws(DevmemError) {
    let number = socket.rawValue
    try retrying(call) {
        withUnsafePointer(to: value) {
            setsockopt(number, level, option, $0, socklen_t(MemoryLayout<Int32>.size))
        }
    }
}

/// Limits how long a call waits for room to send, and connect(2) for the peer: they fail with EAGAIN then
/// (socket(7)).
///
/// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
package func setSendTimeout(
    _ number: Int32, milliseconds: Int32, _ call: String
) throws(DevmemError) {
    let limit = timeval(
        tv_sec: Int(milliseconds) / 1000, tv_usec: Int(milliseconds) % 1000 * 1000)
    try retrying(call) {
        withUnsafePointer(to: limit) {
            setsockopt(
                number, SOL_SOCKET, SO_SNDTIMEO, $0, socklen_t(MemoryLayout<timeval>.size))
        }
    }
}

/// Returns an integer socket option; nil if it is unknown.
func option(_ level: Int32, _ option: Int32, of socket: Int32) -> Int32? {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(socket, level, option, &value, &length) == 0 ? value : nil
}

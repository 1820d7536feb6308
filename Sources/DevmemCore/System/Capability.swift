import CDevmem
import Glibc

/// Returns whether this thread has CAP_NET_ADMIN, from field CapEff of proc_pid_status(5).
///
/// - Throws: `DevmemError` of kind `malformed` if the field cannot be read.
package func hasNetAdmin() throws(DevmemError) -> Bool {
    let path = "/proc/thread-self/status"
    guard let line = lines(of: path).first(where: { $0.hasPrefix("CapEff:") }),
        let field = line.split(whereSeparator: \.isWhitespace).last,
        let mask = UInt64(field, radix: 16)
    else {
        throw DevmemError(.malformed, call: "read \(path)", message: "it has no line CapEff")
    }
    return mask & 1 << UInt64(CAP_NET_ADMIN) != 0
}

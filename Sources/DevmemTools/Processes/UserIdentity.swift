package import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// A user of this host, as whom a program may be run.
package struct UserIdentity: Equatable, Sendable {
    /// The user's name.
    package let name: String
    private let user: uid_t
    private let group: gid_t

    /// Looks a user up by name.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if there is none.
    package init(named name: String) throws(DevmemError) {
        var entry = passwd()
        var buffer = [CChar](repeating: 0, count: 16384)
        var found: UnsafeMutablePointer<passwd>?
        let code = getpwnam_r(name, &entry, &buffer, buffer.count, &found)
        guard code == 0, found != nil else {
            throw DevmemError(
                .invalid, call: "look up user \(name)",
                errno: code == 0 ? nil : Errno(rawValue: code),
                message: code == 0 ? "no such user" : nil)
        }
        self.name = name
        user = entry.pw_uid
        group = entry.pw_gid
    }

    /// Makes this process that user's for good: groups first, as later there is no right to. No
    /// capability stays for a program that it is replaced with, neither an ambient one nor one kept
    /// by secure bits (capabilities(7)).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses.
    package func assume() throws(DevmemError) {
        let call = "become user \(name)"
        try retrying(call) { initgroups(name, group) }
        try retrying(call) { setgid(group) }
        try retrying(call) { setuid(user) }
        var header = __user_cap_header_struct(version: cdm_CAPABILITY_VERSION, pid: 0)
        // An ambient capability goes with the inheritable one.
        var none = [__user_cap_data_struct](repeating: __user_cap_data_struct(), count: 2)
        try retrying(call) { cdm_capset(&header, &none) }
    }
}

/// Replaces this process's program, searched for in PATH if its name has no slash.
///
/// - Parameter arguments: the program's name and arguments.
/// - Returns: why it could not; it does not return otherwise.
package func execute(_ arguments: [String]) -> DevmemError {
    let name = arguments.first ?? ""
    // This program ignores them, and the one that it becomes expects to be ended by them.
    for number in SignalRole.signals(.failsCall) { signal(number, SIG_DFL) }
    let code = withCStrings(arguments) { argv in
        execvp(name, argv)
        return errno
    }
    return DevmemError(.system, call: "run \(name)", errno: Errno(rawValue: code))
}

package import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// A user of this host that a program can run as.
package struct UserIdentity: Equatable, Sendable {
    /// The user's name.
    package let name: String
    private let user: uid_t
    /// The user's number.
    package var number: UInt32 { user }
    private let group: gid_t

    /// Looks up a user by name.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if the user does not exist.
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

    /// Switches this process to the user permanently. Groups are set first, which needs privilege.
    /// A program that is executed later gets no capabilities, not even ambient ones or ones kept by
    /// securebits (capabilities(7)).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses.
    package func assume() throws(DevmemError) {
        let call = "become user \(name)"
        try retrying(call) { initgroups(name, group) }
        try retrying(call) { setgid(group) }
        try retrying(call) { setuid(user) }
        try ThreadCapabilities().apply()
    }
}

/// Replaces the program of this process. A name without a slash is searched for in PATH.
///
/// - Parameter arguments: the program's name and arguments.
/// - Returns: the error; on success it does not return.
package func execute(_ arguments: [String]) -> DevmemError {
    let name = arguments.first ?? ""
    // This process ignores these signals; the new program expects their default action.
    for number in SignalRole.signals(.failsCall) { signal(number, SIG_DFL) }
    let code = withCStrings(arguments) { argv in
        execvp(name, argv)
        return errno
    }
    return DevmemError(.system, call: "run \(name)", errno: Errno(rawValue: code))
}

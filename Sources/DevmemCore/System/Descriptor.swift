import CDevmem
import Glibc
import SystemPackage

/// An open file descriptor with exactly one owner; closed when it goes away.
package struct Descriptor: ~Copyable, Sendable {
    /// The descriptor's number, valid while this value lives.
    package let rawValue: Int32

    /// Takes ownership of an open descriptor.
    package init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    deinit {
        _ = Glibc.close(rawValue)
    }

    /// Closes the descriptor and reports errors.
    ///
    /// - Parameter name: the name in errors.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of close(2).
    package consuming func close(_ name: String) throws(DevmemError) {
        let number = rawValue
        discard self
        // Linux closes the descriptor even if close(2) fails with EINTR.
        guard Glibc.close(number) != 0, errno != EINTR else { return }
        throw DevmemError(.system, call: "close \(name)", errno: Errno(rawValue: errno))
    }

    /// Opens `path` with `O_CLOEXEC` added to `flags`.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of open(2).
    package static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0
    ) throws(DevmemError) -> Descriptor {
        let number = try retrying("open \(path)") { cdm_open(path, flags | O_CLOEXEC, mode) }
        return Descriptor(owning: number)
    }

    /// Opens a file in this directory without following a symbolic link.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of openat(2) and the file's path.
    func open(
        _ name: String, _ flags: Int32, mode: UInt32 = 0, path: String
    ) throws(DevmemError) -> Descriptor {
        let number = try retrying("open \(path)") {
            cdm_openat(rawValue, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        }
        return Descriptor(owning: number)
    }
}

/// Repeats a call while it fails with EINTR; throws if it returns -1.
///
/// - Throws: `DevmemError` of kind `system` with `errno` and `call`.
@discardableResult
package func retrying<Result: SignedInteger>(
    _ call: @autoclosure () -> String, _ body: () -> Result
) throws(DevmemError) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let code = Errno(rawValue: errno)
        if code != .interrupted { throw DevmemError(.system, call: call(), errno: code) }
    }
}

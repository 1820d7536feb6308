import CDevmem
import Glibc
import SystemPackage

/// An open file descriptor with exactly one owner; closed when the owner goes away.
package struct Descriptor: ~Copyable, Sendable {
    /// The descriptor's number, valid as long as this value lives.
    package let rawValue: Int32

    /// Takes over an open descriptor.
    package init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    deinit {
        _ = Glibc.close(rawValue)
    }

    /// Closes the descriptor, where it matters what the kernel says to that.
    ///
    /// - Parameter name: what errors call it.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of close(2).
    consuming func close(_ name: String) throws(DevmemError) {
        let number = rawValue
        discard self
        // Linux has closed it even if a signal came.
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

    /// Opens a file of the folder that this is, and follows no link there.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of openat(2); it names the file's path.
    func open(
        _ name: String, _ flags: Int32, mode: UInt32 = 0, path: String
    ) throws(DevmemError) -> Descriptor {
        let number = try retrying("open \(path)") {
            cdm_openat(rawValue, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        }
        return Descriptor(owning: number)
    }
}

/// Calls until it is not interrupted by a signal; a result of -1 becomes an error.
///
/// - Throws: `DevmemError` of kind `system` carrying `errno` and `call`.
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

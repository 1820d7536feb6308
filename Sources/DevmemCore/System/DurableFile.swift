import Glibc
import SystemPackage

/// Writes a file's data to the disk and reports what could not be stored. A full disk or quota may
/// show only here, because the page cache has accepted all writes; with some network file systems
/// only in close(2), which must be checked as well. Does nothing for a pipe, terminal or socket.
///
/// - Parameters:
///   - number: the open file, which stays open.
///   - name: the file's name in errors.
/// - Throws: `DevmemError` of kind `system` with the `errno` of fsync(2).
package func syncToDisk(_ number: Int32, name: String) throws(DevmemError) {
    var status = stat()
    guard fstat(number, &status) == 0, [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT) else {
        return
    }
    do throws(DevmemError) {
        try retrying("store \(name)") { fsync(number) }
    } catch {
        // Some file systems have no storage and return EINVAL.
        guard error.errno == .invalidArgument else { throw error }
    }
}

/// Writes all of the bytes.
///
/// - Parameters:
///   - bytes: the bytes.
///   - number: the descriptor.
///   - name: the file's name in errors.
/// - Throws: `DevmemError` of kind `system` with the `errno` of write(2).
func writeAll(_ bytes: [UInt8], to number: Int32, name: String) throws(DevmemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = try retrying("write \(name)") {
            rest.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
        }
        rest = rest.dropFirst(count)
    }
}

/// Truncates a file to no bytes; does nothing to a pipe or a device.
///
/// - Parameters:
///   - number: the descriptor.
///   - name: the file's name in errors.
/// - Throws: `DevmemError` of kind `system` if ftruncate(2) fails.
package func truncateFile(_ number: Int32, name: String) throws(DevmemError) {
    var status = stat()
    guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
    try retrying("truncate \(name)") { ftruncate(number, 0) }
}

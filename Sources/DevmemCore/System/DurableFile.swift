import Glibc
import SystemPackage

/// Has the kernel put on the disk what was written to a file that a user named, and tell what it could
/// not keep. A full disk or quota may show only then, as the page cache has taken everything before;
/// on some network file systems not before it is closed, so that close(2) is to be looked at as well.
/// Nothing happens to what is no file: a pipe, a terminal, a socket.
///
/// - Parameters:
///   - number: the open file, which stays open.
///   - name: what errors call it.
/// - Throws: `DevmemError` of kind `system` with the `errno` of fsync(2).
package func makeDurable(_ number: Int32, name: String) throws(DevmemError) {
    var status = stat()
    guard fstat(number, &status) == 0, [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT) else {
        return
    }
    do throws(DevmemError) {
        try retrying("store \(name)") { fsync(number) }
    } catch {
        // File systems that keep nothing have nothing to store.
        guard error.errno == .invalidArgument else { throw error }
    }
}

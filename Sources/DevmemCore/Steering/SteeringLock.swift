import CDevmem
import Glibc
import SystemPackage

/// The right to change a NIC, held by one process at a time; the kernel takes it from the dead.
///
/// Processes that only use steering which is in place share it, so that it stays as long.
struct SteeringLock: ~Copyable {
    private let descriptor: Descriptor

    /// Takes the lock, or says who has it.
    ///
    /// - Throws: `DevmemError` of kind `invalid` with the holder's pid if another process has it.
    init(
        _ key: JournalStore.Key, name: String, in store: JournalStore, shared: Bool = false
    ) throws(DevmemError) {
        try store.prepare()
        let path = store.lockPath(of: key)
        let descriptor = try Self.open(path)
        do throws(DevmemError) {
            try retrying("lock \(name)") {
                cdm_flock(descriptor.rawValue, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)
            }
        } catch {
            guard error.errno == .resourceTemporarilyUnavailable else { throw error }
            throw DevmemError(
                .invalid, call: "take \(name)", errno: .resourceBusy,
                message: "it is in use by \(Self.holder(ofLockAt: path) ?? "another process")",
                advice: "wait for that process, or end it")
        }
        self.descriptor = descriptor
    }

    private static func open(_ path: String) throws(DevmemError) -> Descriptor {
        do throws(DevmemError) {
            return try Descriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o644)
        } catch {
            throw error.errno == .permissionDenied ? error.advising("run as root") : error
        }
    }

    /// The process that holds a lock file, in words; nil if none does, or one that is not visible
    /// from here.
    static func holder(ofLockAt path: String) -> String? {
        holderPID(ofLockAt: path).map { "\(nameOfProcess($0) ?? "a process"), pid \($0)" }
    }

    /// The process that holds a lock file, as the kernel says (proc_locks(5)).
    static func holderPID(ofLockAt path: String) -> Int32? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        for line in lines(of: "/proc/locks") {
            // 1: FLOCK ADVISORY WRITE 812 00:19:1234 0 EOF
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[1] == "FLOCK", let pid = Int32(fields[4]), pid > 0,
                let inode = fields[5].split(separator: ":").last, inode == "\(status.st_ino)"
            else { continue }
            return pid
        }
        return nil
    }
}

import CDevmem
import Glibc
import SystemPackage

/// The exclusive right to change a NIC; the kernel releases it when the holder dies.
///
/// Processes that only use applied steering share the lock, so the steering stays as long as they
/// run. A file lock arbitrates between processes that share the journal directory; a claim between
/// those that share only the network namespace.
struct SteeringLock: ~Copyable {
    private let descriptor: Descriptor
    private let claim: SteeringClaim

    /// Takes the lock without waiting.
    ///
    /// - Throws: `DevmemError` of kind `invalid` with the holder's pid if another process has it;
    ///   `system` or `netlink` if the lock file or the claims are not accessible.
    init(
        _ key: JournalStore.Key, name: String, in store: JournalStore, shared: Bool = false
    ) throws(DevmemError) {
        let descriptor = try store.openLock(of: key)
        do throws(DevmemError) {
            try retrying("lock \(name)") {
                cdm_flock(descriptor.rawValue, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)
            }
        } catch {
            guard error.errno == .resourceTemporarilyUnavailable else { throw error }
            // The lock is taken; the holder may stay unknown.
            throw Self.inUse(name, by: (try? PublishedClaims.all())?.holders()[key])
        }
        claim = try SteeringClaim(key, shared: shared, name: name)
        self.descriptor = descriptor
    }

    /// A warning if other processes that steer the NIC may be invisible; otherwise nil.
    var doubt: String? {
        claim.canSeeOthers
            ? nil
            : "the kernel has no unix_diag (CONFIG_UNIX_DIAG), so processes of other containers "
                + "that steer the same NIC are not seen"
    }

    /// Returns the error for a NIC that another process holds.
    static func inUse(_ name: String, by holder: SteeringClaim.Holder?) -> DevmemError {
        DevmemError(
            .invalid, call: "take \(name)", errno: .resourceBusy,
            message: "it is in use by \(holder?.text ?? "another process")",
            advice: "wait for that process, or end it")
    }
}

import CDevmem
import Glibc
import SystemPackage

/// The right to change a NIC, held by one process at a time; the kernel takes it from the dead.
///
/// Processes that only use steering which is in place share it, so that it stays as long. A locked
/// file decides among those that share the folder of journals, and a claim among those that share
/// the network namespace only.
struct SteeringLock: ~Copyable {
    private let descriptor: Descriptor
    private let claim: SteeringClaim

    /// Takes the lock, or says who has it.
    ///
    /// - Throws: `DevmemError` of kind `invalid` with the holder's pid if another process has it.
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
            // It is in use; by whom may stay unknown.
            throw Self.inUse(name, by: (try? PublishedClaims.all())?.holders()[key])
        }
        claim = try SteeringClaim(key, shared: shared, name: name)
        self.descriptor = descriptor
    }

    /// What is not known of others that steer the NIC, in words; nil if all is.
    var doubt: String? {
        claim.seesOthers
            ? nil
            : "the kernel has no unix_diag (CONFIG_UNIX_DIAG), so processes of other containers "
                + "that steer the same NIC are not seen"
    }

    /// The error of a NIC that another process has.
    static func inUse(_ name: String, by holder: SteeringClaim.Holder?) -> DevmemError {
        DevmemError(
            .invalid, call: "take \(name)", errno: .resourceBusy,
            message: "it is in use by \(holder?.text ?? "another process")",
            advice: "wait for that process, or end it")
    }
}

import Glibc
package import Logging
import SystemPackage

/// A NIC of this network namespace that is steered, or was left steered by a dead process.
package struct SteeredNIC: Sendable {
    /// The NIC; nil if it is no longer in the namespace.
    package var interface: NetworkInterface?
    /// Its name, or its former name if it is gone.
    package var name: String
    /// The journal; nil if it cannot be read or nothing has been changed yet.
    package var journal: SteeringJournal?
    /// Why the journal cannot be read.
    package var problem: DevmemError?
    /// Whether the reason is that the journal is from an earlier boot; the next command that steers
    /// the NIC drops it.
    package var isFromEarlierBoot = false
    /// Whether there is a journal; a process in another container may keep its journal elsewhere.
    package var hasJournal: Bool
    /// The process that steers the NIC now, if any: its name and pid.
    package var holder: String?
    /// The pid of that process.
    package var holderPID: Int32?

    let key: JournalStore.Key

    init(
        _ key: JournalStore.Key, in store: JournalStore, hasJournal: Bool,
        claimedBy claimant: SteeringClaim.Holder?
    ) {
        self.key = key
        self.hasJournal = hasJournal
        let known = interfaceName(key.index)
        interface = try? NetworkInterface(named: known)
        name = known
        var owner = claimant
        do throws(DevmemError) {
            journal = try store.read(key)
        } catch {
            problem = error
            isFromEarlierBoot = ((try? store.readFromEarlierBoot(key)) ?? nil) != nil
        }
        // The claim's owner may not be visible, but the journal names its writer.
        if owner != nil, owner?.pid == nil, let writer = journal?.owner,
            startTicks(ofProcess: "\(writer.pid)") == writer.startTime
        {
            owner?.pid = writer.pid
        }
        holder = owner?.text
        holderPID = owner?.pid
        if interface == nil, let journal { name = journal.interface.name }
    }
}

extension SteeredNIC {
    /// Returns whether a user's word names this entry: by the NIC's name, by the name under which
    /// steering was applied or, for a NIC that is gone, by its former index or name.
    ///
    /// - Parameter word: the user's word.
    /// - Returns: whether it matches.
    package func answers(to word: String) -> Bool {
        if journal?.name == word { return true }
        if let interface { return interface.name == word }
        // Another NIC may have the name now.
        return word == "\(key.index)" || word == name && if_nametoindex(word) == 0
    }
}

/// Lists the NICs of this network namespace that have a steering journal or that a process steers.
///
/// - Parameter store: the journals.
/// - Returns: an entry each, also where a journal cannot be read.
/// - Throws: `DevmemError` of kind `system`, `netlink` or `invalid` if the namespace, its claims or
///   the store's directory cannot be read.
package func steeredNICs(
    in store: JournalStore = JournalStore()
) throws(DevmemError) -> [SteeredNIC] {
    let namespace = try namespaceCookie()
    let written = Set(try store.keys()).filter { $0.namespace == namespace }
    let claims = (try PublishedClaims.all() ?? PublishedClaims()).of(namespace)
    let holders = claims.holders()
    return written.union(claims.keys).sorted { $0.index < $1.index }.map {
        SteeredNIC(
            $0, in: store, hasJournal: written.contains($0), claimedBy: holders[$0])
    }
}

/// Restores the settings that steering changed on a NIC: steering that was kept, or what a dead
/// process left.
///
/// - Parameters:
///   - entry: the NIC, from `steeredNICs`.
///   - forget: only removes the journal, without reading it, and leaves the NIC unchanged.
///   - rss: the interface through which RSS is changed.
///   - store: the journals.
///   - logger: receives each failure at level debug.
/// - Returns: the journal, if it could be read, and the result; nil if the settings have been
///   restored meanwhile.
/// - Throws: `DevmemError` of kind `invalid` if a process steers the NIC (with its pid) or the NIC
///   is gone; `malformed` if the journal is damaged.
package func restoreSteering(
    of entry: SteeredNIC, forget: Bool = false, rss: RSSInterface = .automatic,
    store: JournalStore = JournalStore(), logger: Logger
) throws(DevmemError) -> (journal: SteeringJournal?, result: SteeringRestoration)? {
    let lock = try SteeringLock(entry.key, name: entry.name, in: store)
    defer { withExtendedLifetime(lock) {} }
    if forget {
        try store.remove(entry.key)
        return (entry.journal, SteeringRestoration())
    }
    if let earlier = try store.removeFromEarlierBoot(entry.key) {
        return (earlier, SteeringRestoration(leftAlone: [earlier.dropped]))
    }
    guard let journal = try store.read(entry.key) else {
        try store.remove(entry.key)
        return nil
    }
    guard let interface = entry.interface else {
        throw DevmemError(
            .invalid, call: "restore \(entry.name)", errno: .noSuchAddressOrDevice,
            message: "the interface with index \(entry.key.index) is gone, or in "
                + "another network namespace",
            advice: "\(AdvisedCommand(.forget, "\(entry.key.index)")) drops its journal")
    }
    let nic = try EthtoolNIC(interface, rss: rss)
    return (journal, rollback(journal, on: nic, store: store, logger: logger))
}

import Glibc
package import Logging
import SystemPackage

/// A NIC of this network namespace that is steered, or that a dead process has left so.
package struct SteeringEntry: Sendable {
    /// The NIC; nil if it is no longer in the namespace.
    package var interface: NetworkInterface?
    /// Its name, or what it was when it was steered.
    package var name: String
    /// Who changed what; nil if that cannot be read, or nothing had been changed yet.
    package var journal: SteeringJournal?
    /// Why the journal cannot be read.
    package var problem: DevmemError?
    /// Whether that is as it is of an earlier boot; the next command that steers the NIC drops it.
    package var isOfEarlierBoot = false
    /// Whether there is a journal; a process of another container may have its elsewhere.
    package var isWrittenDown: Bool
    /// The process that steers it now, if one does: a name and a pid.
    package var holder: String?
    /// The pid of that process.
    package var holderPID: Int32?

    let key: JournalStore.Key

    init(
        _ key: JournalStore.Key, in store: JournalStore, isWrittenDown: Bool,
        claimedBy claimant: SteeringClaim.Holder?
    ) {
        self.key = key
        self.isWrittenDown = isWrittenDown
        let known = interfaceName(key.index)
        interface = try? NetworkInterface(named: known)
        name = known
        var owner = claimant
        do throws(DevmemError) {
            journal = try store.read(key)
        } catch {
            problem = error
            isOfEarlierBoot = ((try? store.readEarlier(key)) ?? nil) != nil
        }
        // Not everybody may see whose a claim is, but the journal says who wrote it.
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

extension SteeringEntry {
    /// Whether it is what a user calls so: by the NIC, by the name of what was applied, or, of a NIC that
    /// is gone, by the number or the name that it had.
    ///
    /// - Parameter word: what the user wrote.
    /// - Returns: whether it is.
    package func answers(to word: String) -> Bool {
        if journal?.name == word { return true }
        if let interface { return interface.name == word }
        // The name may be another NIC's by now.
        return word == "\(key.index)" || word == name && if_nametoindex(word) == 0
    }
}

/// The NICs of this network namespace that have a steering journal, or that a process steers.
///
/// - Parameter store: where journals lie.
/// - Returns: an entry each, also where a journal cannot be read.
/// - Throws: `DevmemError` if the kernel does not tell the namespace or what is claimed in it, or the
///   store's folder cannot be read.
package func steeringEntries(
    in store: JournalStore = JournalStore()
) throws(DevmemError) -> [SteeringEntry] {
    let namespace = try namespaceCookie()
    let written = Set(try store.keys()).filter { $0.namespace == namespace }
    let claims = (try PublishedClaims.all() ?? PublishedClaims()).of(namespace)
    let holders = claims.holders()
    return written.union(claims.keys).sorted { $0.index < $1.index }.map {
        SteeringEntry(
            $0, in: store, isWrittenDown: written.contains($0), claimedBy: holders[$0])
    }
}

/// Takes back what is steered on a NIC: what stays applied, and what a dead process has left.
///
/// - Parameters:
///   - entry: the NIC, of `steeringEntries`.
///   - forget: only drop the journal, whatever is in it, and leave the NIC as it is.
///   - rss: how to change RSS.
///   - store: where journals lie.
///   - logger: is told of each failure at level debug.
/// - Returns: whose changes they were, if that can be read, and what came of it; nil if they have
///   been taken back meanwhile.
/// - Throws: `DevmemError` of kind `invalid` with the holder's pid if a process steers the NIC or
///   the NIC is gone; `malformed` if its journal is damaged.
package func restoreSteering(
    of entry: SteeringEntry, forget: Bool = false, rss: RSSInterface = .automatic,
    store: JournalStore = JournalStore(), logger: Logger
) throws(DevmemError) -> (journal: SteeringJournal?, result: SteeringReversal)? {
    let lock = try SteeringLock(entry.key, name: entry.name, in: store)
    defer { withExtendedLifetime(lock) {} }
    if forget {
        try store.strike(entry.key)
        return (entry.journal, SteeringReversal())
    }
    if let earlier = try store.dropEarlier(entry.key) {
        return (earlier, SteeringReversal(leftAlone: [earlier.dropped]))
    }
    guard let journal = try store.read(entry.key) else {
        try store.strike(entry.key)
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

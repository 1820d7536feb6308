public import Logging
import SystemPackage

/// A NIC of this network namespace that is steered, or that a dead process has left so.
public struct SteeringEntry: Sendable {
    /// The NIC; nil if it is no longer in the namespace.
    public var interface: NetworkInterface?
    /// Its name, or what it was when it was steered.
    public var name: String
    /// Who changed what; nil if that cannot be read, or nothing had been changed yet.
    public var journal: SteeringJournal?
    /// Why the journal cannot be read.
    public var problem: DevmemError?
    /// Whether there is a journal; a process of another container may have its elsewhere.
    public var isWrittenDown: Bool
    /// The process that steers it now, if one does: a name and a pid.
    public var holder: String?
    /// The pid of that process.
    public var holderPID: Int32?

    let key: JournalStore.Key

    init(_ key: JournalStore.Key, in store: JournalStore, isWrittenDown: Bool) {
        self.key = key
        self.isWrittenDown = isWrittenDown
        let known = interfaceName(key.index)
        interface = try? NetworkInterface(named: known)
        name = known
        var owner = SteeringClaim.holder(of: key)
        do throws(DevmemError) {
            journal = try store.read(key)
        } catch {
            problem = error
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

/// The NICs of this network namespace that have a steering journal, or that a process steers.
///
/// - Parameter store: where journals lie.
/// - Returns: an entry each, also where a journal cannot be read.
/// - Throws: `DevmemError` of kind `system` if the kernel does not tell the namespace.
public func steeringEntries(
    in store: JournalStore = JournalStore()
) throws(DevmemError) -> [SteeringEntry] {
    let namespace = try namespaceCookie()
    let written = store.keys()
    let all = Set(written).union(SteeringClaim.keys()).filter { $0.namespace == namespace }
    return all.sorted { $0.index < $1.index }.map {
        SteeringEntry($0, in: store, isWrittenDown: written.contains($0))
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
public func restoreSteering(
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
            message: "interface number \(entry.key.index) is gone, with its settings or to "
                + "another network namespace",
            advice: "\(AdvisedCommand(.forgetAll)) drops its journal")
    }
    let nic = try EthtoolNIC(interface, rss: rss)
    return (journal, takeBack(journal, on: nic, store: store, logger: logger))
}

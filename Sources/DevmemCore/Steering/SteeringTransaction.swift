public import Logging
import SystemPackage

/// Changes made to a NIC, with one owner, who restores the settings or keeps the changes.
///
/// Each change is recorded in the journal first. However the owner ends, the next run on the NIC or
/// `restoreSteering` completes the restore. If the owner does neither, the deinit restores the
/// settings.
public struct SteeringTransaction: ~Copyable {
    /// The queues that the changes serve.
    public let queues: [UInt32]
    /// Remarks that are worth knowing but stop nothing, a sentence each.
    public let notes: [String]

    private let nic: EthtoolNIC
    private let lock: SteeringLock
    private let store: JournalStore
    private let logger: Logger
    /// Nil once the settings are restored, and while applied steering is only used.
    private var journal: SteeringJournal?
    /// The applied steering that is used.
    private let used: SteeringJournal?
    /// The changes that were lost and made again, the latest last.
    private var renewals: [SteeringReapplication] = []

    /// Steers a NIC. First restores what a dead process left on it. Uses applied steering unchanged
    /// if that meets the request. If a change fails, restores those made before it.
    ///
    /// - Parameters:
    ///   - request: queues and traffic.
    ///   - interface: the NIC.
    ///   - command: this process's description for others, such as `devmemtcp serve`.
    ///   - logger: receives each change at level debug, and those of a dead process at notice.
    /// - Throws: `DevmemError` if the kernel or the driver refuses a change; of kind `invalid` if
    ///   another process steers the NIC (with its pid) or the request cannot be met; `unsupported`
    ///   if the NIC cannot; `malformed` if its journal is damaged.
    public init(
        applying request: SteeringRequest, to interface: NetworkInterface, as command: String,
        logger: Logger
    ) throws(DevmemError) {
        try self.init(
            applying: request, to: interface, as: command, rss: .automatic, store: JournalStore(),
            logger: logger)
    }

    /// The same with a choice of how RSS is set and where the journal lies.
    ///
    /// - Throws: as the initializer above.
    package init(
        applying request: SteeringRequest, to interface: NetworkInterface, as command: String,
        rss: RSSInterface = .automatic, store: JournalStore = JournalStore(), logger: Logger
    ) throws(DevmemError) {
        try self.init(on: interface, as: command, rss: rss, store: store, logger: logger) {
            snapshot, applied throws(DevmemError) in
            try SteeringPlan(
                for: request, on: snapshot, interface: interface.name, applied: applied)
        }
    }

    /// Makes single changes, for callers that need a NIC in a certain state.
    ///
    /// - Parameters:
    ///   - changes: computes the changes from the NIC's settings.
    ///   - interface: the NIC.
    ///   - command: this process's description for others.
    ///   - store: the journals.
    ///   - logger: receives each change at level debug.
    /// - Throws: `DevmemError` as the initializer that steers does, and what `changes` throws.
    package init(
        making changes: (NICSnapshot) throws(DevmemError) -> [SteeringChange],
        on interface: NetworkInterface, as command: String, store: JournalStore = JournalStore(),
        logger: Logger
    ) throws(DevmemError) {
        try self.init(on: interface, as: command, rss: .automatic, store: store, logger: logger) {
            snapshot, _ throws(DevmemError) in
            SteeringPlan(queues: [], changes: try changes(snapshot))
        }
    }

    private init(
        on interface: NetworkInterface, as command: String, rss: RSSInterface,
        store: JournalStore, logger: Logger,
        planning makePlan: (NICSnapshot, SteeringPlan.Applied?) throws(DevmemError) -> SteeringPlan
    ) throws(DevmemError) {
        try interface.requireNIC("choose queues of")
        let identity = try SteeringJournal.Interface(interface)
        let lock = try Self.lock(identity, store)
        if let doubt = lock.doubt { logger.warning("\(interface.name): \(doubt)") }
        let nic = try EthtoolNIC(interface, rss: rss)
        let key = JournalStore.Key(identity)
        if let earlier = try store.removeFromEarlierBoot(key) {
            logger.notice("\(interface.name): \(earlier.dropped)")
        }
        var standing = try store.read(key)
        if let left = standing, left.phase != .kept {
            let result = rollback(left, on: nic, store: store, logger: logger)
            report(result, of: left, to: logger)
            if let failure = result.failure {
                throw failure.advising(
                    "\(left.maker) left it so; \(AdvisedCommand(.restore, interface.name)) tries "
                        + "again, \(AdvisedCommand(.forget, interface.name)) leaves it so")
            }
            standing = nil
        }
        let snapshot = try NICSnapshot(choosingQueuesOf: interface)
        let plan = try makePlan(snapshot, standing?.applied)
        var journal: SteeringJournal?
        if let standing {
            try Self.check(plan, isDoneBy: standing)
        } else {
            let begun = SteeringJournal(
                interface: identity, owner: SteeringJournal.Owner(command: command), plan: plan,
                on: snapshot)
            journal = try Self.apply(begun, to: nic, store, logger)
        }
        queues = plan.queues
        notes = plan.notes(with: journal?.changes ?? [], on: snapshot)
        used = standing
        self.journal = journal
        self.nic = nic
        self.lock = lock
        self.store = store
        self.logger = logger
    }

    /// Takes the lock; a shared one if applied steering will only be used.
    private static func lock(
        _ interface: SteeringJournal.Interface, _ store: JournalStore
    ) throws(DevmemError) -> SteeringLock {
        let key = JournalStore.Key(interface)
        // The holder of the lock refuses or drops an unreadable journal.
        if (try? store.read(key))?.phase == .kept {
            let shared = try SteeringLock(key, name: interface.name, in: store, shared: true)
            // The settings may have been restored before we got the lock.
            if (try? store.read(key))?.phase == .kept { return shared }
        }
        return try SteeringLock(key, name: interface.name, in: store)
    }

    private static func check(
        _ plan: SteeringPlan, isDoneBy standing: SteeringJournal
    ) throws(DevmemError) {
        guard let missing = plan.changes.first else { return }
        let name = standing.interface.name
        throw DevmemError(
            .invalid, call: "steer \(name)", errno: .resourceBusy,
            message: "it is steered by \"\(standing.name ?? standing.maker)\" to queues "
                + "\(queueList(standing.queues)), and the request needs more: \(missing)",
            advice: "\(AdvisedCommand(.restore, name)), or ask for what is steered")
    }

    private static func apply(
        _ planned: SteeringJournal, to nic: borrowing EthtoolNIC, _ store: JournalStore,
        _ logger: Logger
    ) throws(DevmemError) -> SteeringJournal {
        var journal = planned
        do throws(DevmemError) {
            try journal.apply(to: nic, logger: logger) { saved throws(DevmemError) in
                try store.write(saved)
            }
            return journal
        } catch {
            let undoing = rollback(journal, on: nic, store: store, logger: logger)
            guard let failure = undoing.failure else {
                throw explained(error).naming(nic.name)
            }
            var both = error
            both.message =
                (error.message.map { "\($0); " } ?? "") + "and then \(failure.operation): "
                + (failure.errno.map(describe) ?? failure.message ?? "failed")
            both.advice =
                "\(AdvisedCommand(.restore, nic.name)) tries again to restore the settings"
            throw both
        }
    }

    deinit {
        guard let journal else { return }
        let result = rollback(journal, on: nic, store: store, logger: logger)
        if let failure = result.failure { logger.error("cannot restore a setting: \(failure)") }
    }

    /// The changes that were made; empty if applied steering is used.
    package var changes: [SteeringChange] { journal?.changes ?? [] }

    /// Undoes every change, the last first; continues after a failure.
    ///
    /// - Returns: what was restored, and what was left alone because someone else had changed it.
    /// - Throws: `DevmemError`, the first failure, after trying the others; the journal keeps what
    ///   remains.
    @discardableResult
    public mutating func restore() throws(DevmemError) -> SteeringRestoration {
        try restore(unlessRemoved: { false })
    }

    /// Does the same, or drops the journal of a NIC that is removed meanwhile.
    ///
    /// - Parameter isRemoved: asked if the kernel answers with `ENODEV`: whether the NIC is gone along
    ///   with its settings.
    /// - Returns: what was restored, nothing of a removed NIC.
    /// - Throws: `DevmemError` as `restore()`.
    mutating func restore(
        unlessRemoved isRemoved: () -> Bool
    ) throws(DevmemError) -> SteeringRestoration {
        guard let journal else { return SteeringRestoration() }
        self.journal = nil
        let result = rollback(journal, on: nic, store: store, logger: logger)
        for sentence in result.leftAlone { logger.notice("\(nic.name): left alone: \(sentence)") }
        if let failure = result.failure {
            if failure.errno == .operationNotSupportedByDevice, isRemoved() {
                self.journal = journal
                forget()
                return SteeringRestoration()
            }
            throw failure.advising("\(AdvisedCommand(.restore, nic.name)) tries again")
        }
        return result
    }

    /// Keeps the changes under a name until `restoreSteering` undoes them.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if applied steering is used; of kind `system` if
    ///   the journal cannot be written, and the deinit then restores the settings.
    package mutating func keep(as name: String) throws(DevmemError) {
        guard var kept = journal else {
            throw DevmemError(
                .invalid, call: "steer \(nic.name)", errno: .fileExists,
                message: "it is already steered this way",
                advice: "\(AdvisedCommand(.showSteering, nic.name)) shows by whom")
        }
        kept.name = name
        kept.phase = .kept
        try store.write(kept)
        journal = nil
    }
}

extension SteeringTransaction {
    /// Returns the changes that the NIC has lost.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the settings cannot be read.
    func losses() throws(DevmemError) -> [SteeringLoss] {
        guard let watched = journal ?? used else { return [] }
        return watched.losses(in: try SteeringState(of: nic, for: watched))
    }

    /// Explains why payload of a stream arrived outside device memory.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the settings cannot be read.
    package func reason(
        for stream: MisplacedStream, on interface: NetworkInterface, provider: QueueProvider
    ) throws(DevmemError) -> String {
        var reason = PlacementReason(
            snapshot: try NICSnapshot(of: interface), queues: queues, provider: provider)
        reason.losses = try losses()
        reason.renewals = renewals
        reason.rules =
            (journal ?? used)?.changes.compactMap {
                if case .addRule(_, let placed) = $0 { placed } else { nil }
            } ?? []
        return reason.text(for: stream)
    }

    /// Makes a lost change again.
    ///
    /// - Returns: the change as it is now; nil if the steering is not its own.
    /// - Throws: `DevmemError` if the driver refuses the change.
    mutating func renew(_ loss: SteeringLoss) throws(DevmemError) -> SteeringChange? {
        guard var renewed = journal else { return nil }
        // Even after a failure, this process must know what to undo.
        defer { journal = renewed }
        try renewed.renew(loss, on: nic, logger: logger) { saved throws(DevmemError) in
            try store.write(saved)
        }
        renewals.note(loss.text, at: .now)
        return renewed.changes.indices.contains(loss.change) ? renewed.changes[loss.change] : nil
    }

    /// Leaves the journal of a NIC that cannot be reached, and has kept its settings, to
    /// `restoreSteering`.
    mutating func leave() { journal = nil }

    /// Drops the journal of a NIC that is gone along with its settings.
    mutating func forget() {
        guard let gone = journal else { return }
        journal = nil
        do throws(DevmemError) {
            try store.remove(JournalStore.Key(gone.interface))
        } catch {
            logger.error("\(error)")
        }
    }
}

/// Undoes a journal's changes and removes it if that succeeds.
func rollback(
    _ journal: SteeringJournal, on nic: borrowing EthtoolNIC, store: JournalStore, logger: Logger
) -> SteeringRestoration {
    var journal = journal
    var result = journal.reverse(on: nic, logger: logger) { saved throws(DevmemError) in
        try store.write(saved)
    }
    guard result.failure == nil else { return result }
    do throws(DevmemError) {
        try store.remove(JournalStore.Key(journal.interface))
    } catch {
        result.failure = error
    }
    return result
}

private func report(
    _ result: SteeringRestoration, of journal: SteeringJournal, to logger: Logger
) {
    let done =
        result.restored.isEmpty
        ? "nothing had to be restored" : result.restored.joined(separator: ", ")
    logger.notice(
        "\(journal.interface.name): \(journal.maker) died while steering; restored: \(done)")
    for sentence in result.leftAlone {
        logger.notice("\(journal.interface.name): left alone: \(sentence)")
    }
}

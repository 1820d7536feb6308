package import Logging
import SystemPackage

/// Changes made to a NIC, with one owner, who takes them back or leaves them in place.
///
/// What is changed is in the journal first, so whatever ends the owner, the next run on the NIC, or
/// `restoreSteering`, finishes what it could not. If the owner forgets, changes are taken back
/// when the value goes away.
package struct SteeringTransaction: ~Copyable {
    /// The queues that the changes are for.
    package let queues: [UInt32]
    /// What is no hindrance but worth knowing, a sentence each.
    package let notes: [String]

    private let nic: EthtoolNIC
    private let lock: SteeringLock
    private let store: JournalStore
    private let logger: Logger
    /// Nil once all is taken back, and where steering in place is only used.
    private var journal: SteeringJournal?
    /// Steering in place that is used.
    private let used: SteeringJournal?
    /// What was lost and made again, the latest last.
    private var renewals: [SteeringRenewal] = []

    /// Steers a NIC. What a dead process has left on it is taken back first; steering that stays
    /// applied is used as it is if it does what is wished. If a change fails, those made before
    /// are taken back.
    ///
    /// - Parameters:
    ///   - wish: queues and traffic.
    ///   - interface: the NIC.
    ///   - command: what others are told of this process, such as `devmemtcp serve`.
    ///   - rss: how to change RSS.
    ///   - store: where the journal lies.
    ///   - logger: is told of each change at level debug, of a dead process's at notice.
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the kernel or the driver refuses;
    ///   `unsupported` if the NIC cannot do it; `invalid` for queues that cannot be had, and with
    ///   the holder's pid if another process steers the NIC; `malformed` if its journal is damaged.
    package init(
        applying wish: SteeringRequest, to interface: NetworkInterface, as command: String,
        rss: RSSInterface = .automatic, store: JournalStore = JournalStore(), logger: Logger
    ) throws(DevmemError) {
        try self.init(on: interface, as: command, rss: rss, store: store, logger: logger) {
            snapshot, applied throws(DevmemError) in
            try SteeringPlan(
                for: wish, on: snapshot, interface: interface.name, applied: applied)
        }
    }

    /// Makes single changes, for those who want a NIC in a certain state.
    ///
    /// - Parameters:
    ///   - changes: works the changes out from what the NIC's settings are.
    ///   - interface: the NIC.
    ///   - command: what others are told of this process.
    ///   - store: where the journal lies.
    ///   - logger: is told of each change at level debug.
    /// - Throws: as `init(applying:to:as:rss:store:logger:)`, and what `changes` throws.
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
        if let earlier = try store.dropEarlier(key) {
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

    /// Whoever only uses steering in place does not keep others from it.
    private static func lock(
        _ interface: SteeringJournal.Interface, _ store: JournalStore
    ) throws(DevmemError) -> SteeringLock {
        let key = JournalStore.Key(interface)
        // What cannot be read is refused, or dropped, by who has the lock.
        if (try? store.read(key))?.phase == .kept {
            let shared = try SteeringLock(key, name: interface.name, in: store, shared: true)
            // It may have been taken back before the lock was had.
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
                var told = explained(error)
                told.advice = told.advice?.naming(nic.name)
                throw told
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

    /// The changes that were made; none if steering in place is used.
    package var changes: [SteeringChange] { journal?.changes ?? [] }

    /// Takes back every change, the last first; goes on after a failure.
    ///
    /// - Returns: what was put back and what someone else had changed meanwhile.
    /// - Throws: `DevmemError`, the first failure, after trying the others; the journal keeps what
    ///   is left.
    @discardableResult
    package mutating func restore() throws(DevmemError) -> SteeringReversal {
        guard let journal else { return SteeringReversal() }
        self.journal = nil
        let result = rollback(journal, on: nic, store: store, logger: logger)
        for sentence in result.leftAlone { logger.notice("\(nic.name): left alone: \(sentence)") }
        if let failure = result.failure {
            throw failure.advising("\(AdvisedCommand(.restore, nic.name)) tries again")
        }
        return result
    }

    /// Leaves the changes in place, under a name, until `restoreSteering` takes them back.
    ///
    /// - Throws: `DevmemError` of kind `system` if the journal cannot be written, `invalid` if there is
    ///   steering in place already; the changes are undone then.
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
    /// Whether the changes are its own, to be made again if the NIC loses them.
    var isOwn: Bool { journal != nil }

    /// What the NIC has lost of the changes.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the NIC's settings cannot be read.
    func losses() throws(DevmemError) -> [SteeringLoss] {
        guard let watched = journal ?? used else { return [] }
        return watched.losses(in: try SteeringState(of: nic, for: watched))
    }

    /// Says why payload of a stream came outside device memory.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the NIC's settings cannot be read.
    package func reason(
        for stream: MisplacedStream, on interface: NetworkInterface, bindingID: UInt32
    ) throws(DevmemError) -> String {
        var reason = PlacementReason(
            snapshot: try NICSnapshot(of: interface), queues: queues, bindingID: bindingID)
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
    /// - Returns: the change as it is now.
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the driver refuses, `unsupported` if
    ///   the change does not show.
    mutating func renew(_ loss: SteeringLoss) throws(DevmemError) -> SteeringChange? {
        guard var renewed = journal else { return nil }
        // Whatever comes of it, this process must know what it may have to take back.
        defer { journal = renewed }
        try renewed.renew(loss, on: nic, logger: logger) { saved throws(DevmemError) in
            try store.write(saved)
        }
        // The latest are enough to explain a stream, however often it happens.
        renewals = renewals.suffix(15) + [SteeringRenewal(loss: loss.text, moment: .now)]
        return renewed.changes.indices.contains(loss.change) ? renewed.changes[loss.change] : nil
    }

    /// Drops the journal of a NIC that is gone, and its settings with it.
    mutating func forget() {
        guard let gone = journal else { return }
        journal = nil
        do throws(DevmemError) {
            try store.strike(JournalStore.Key(gone.interface))
        } catch {
            logger.error("\(error)")
        }
    }
}

/// Takes a journal's changes back and strikes it out if that succeeds.
func rollback(
    _ journal: SteeringJournal, on nic: borrowing EthtoolNIC, store: JournalStore, logger: Logger
) -> SteeringReversal {
    var journal = journal
    var result = journal.reverse(on: nic, logger: logger) { saved throws(DevmemError) in
        try store.write(saved)
    }
    guard result.failure == nil else { return result }
    do throws(DevmemError) {
        try store.strike(JournalStore.Key(journal.interface))
    } catch {
        result.failure = error
    }
    return result
}

private func report(
    _ result: SteeringReversal, of journal: SteeringJournal, to logger: Logger
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

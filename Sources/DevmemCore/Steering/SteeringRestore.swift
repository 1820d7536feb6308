import Logging
import SystemPackage

/// The result of undoing changes.
public struct SteeringRestoration: Equatable, Sendable {
    /// What was restored, a phrase each.
    public var restored: [String] = []
    /// What was left alone because someone else had changed it, a sentence each.
    public var leftAlone: [String] = []
    /// The first failure; the changes concerned remain in the journal.
    public var failure: DevmemError?
}

extension SteeringJournal {
    /// Undoes the changes that were begun, the last first, and removes each from the journal;
    /// continues after a failure. It may be interrupted at any point and repeated.
    mutating func reverse<NIC: NICControl & ~Copyable>(
        on nic: borrowing NIC, logger: Logger,
        save: (SteeringJournal) throws(DevmemError) -> Void
    ) -> SteeringRestoration {
        var result = SteeringRestoration()
        // Until the journal says that a restore has begun, intermediate values would pass for
        // someone else's settings.
        let isResumed = phase == .restoring
        changes.removeLast(changes.count - min(max(begun, 0), changes.count))
        phase = .restoring
        do throws(DevmemError) { try save(self) } catch { result.failure = error }
        var end = changes.count
        while end > 0 {
            let step = lastStep(before: end)
            do throws(DevmemError) {
                for outcome in try rollback(step, on: nic, isResumed: isResumed) {
                    switch outcome {
                    case .restored(let what): result.restored.append(what)
                    case .leftAlone(let what): result.leftAlone.append(what)
                    }
                }
                changes.removeSubrange(step)
                begun = changes.count
                if !changes.isEmpty { try save(self) }
            } catch {
                logger.debug("\(nic.name): \(error)")
                result.failure = result.failure ?? error
            }
            end = step.lowerBound
        }
        if result.failure == nil { result.leftAlone += sideEffects(on: nic) }
        return result
    }

    /// The result of undoing one change.
    enum Outcome: Equatable {
        case restored(String)
        case leftAlone(String)
    }

    /// Returns the changes to undo next: one, or two ring changes that share a request.
    private func lastStep(before end: Int) -> Range<Int> {
        if end > 1, let both = ringChanges(from: end - 2), both.upperBound == end { return both }
        return end - 1..<end
    }

    private func rollback<NIC: NICControl & ~Copyable>(
        _ step: Range<Int>, on nic: borrowing NIC, isResumed: Bool
    ) throws(DevmemError) -> [Outcome] {
        let outcome: Outcome?
        switch changes[step.lowerBound] {
        case .headerSplit, .splitThreshold:
            return try restoreRings(changes[step], nic, isResumed: isResumed)
        case .feature(let feature, let wasWanted): outcome = try turnOff(feature, nic, wasWanted)
        case .indirection(let before, let after, let isDefault):
            return try restoreTable(before, after, isDefault, nic)
        case .createContext(let table, let id): outcome = try deleteContext(table, id, nic)
        case .addRule(let alternatives, let placed):
            outcome = try deleteRule(alternatives, placed, nic)
        }
        return outcome.map { [$0] } ?? []
    }

    private func turnOff<NIC: NICControl & ~Copyable>(
        _ feature: SteeringFeature, _ nic: borrowing NIC, _ wasWanted: Bool
    ) throws(DevmemError) -> Outcome? {
        // The kernel remembers a request that the driver refused, and would retry it later.
        let now = try nic.feature(feature)
        guard now.isActive || now.isWanted && !wasWanted else { return nil }
        if feature == .flowRules {
            let locations = Set(try nic.ruleTable()?.locations ?? [])
            // If one of our rules could not be deleted, leave the feature on: both are retried
            // later.
            if let mine = ownLocations.first(where: locations.contains) {
                throw DevmemError(
                    .invalid, call: "turn \(feature.rawValue) off on \(nic.name)",
                    message: "flow rule \(mine) is still there")
            }
            let others = locations.subtracting(before.ruleLocations)
            guard others.isEmpty else {
                return .leftAlone(
                    "\(feature.rawValue) stays on: flow rule \(queueList(others.sorted())) came "
                        + "meanwhile")
            }
        }
        if feature == .hardwareGRO, try nic.rings().headerSplit == .on {
            // While header split is on, mlx5 would keep the feature on (`mlx5e_fix_features` of
            // en_main.c), and the kernel would not repeat the request later.
            let isOurs = changes.contains { if case .headerSplit = $0 { true } else { false } }
            guard isOurs else {
                return .leftAlone("\(feature.rawValue) stays on: header split is on")
            }
            throw DevmemError(
                .invalid, call: "turn \(feature.rawValue) off on \(nic.name)",
                message: "header split is still on")
        }
        try nic.ask(for: feature, false)
        return .restored("\(feature.rawValue) off")
    }

    private func restoreTable<NIC: NICControl & ~Copyable>(
        _ before: [UInt32], _ after: [UInt32], _ isDefault: Bool, _ nic: borrowing NIC
    ) throws(DevmemError) -> [Outcome] {
        let now = try nic.indirection()
        guard !now.isEmpty else { return [] }
        // bnxt has no table while it is down, and the kernel then reports zeros (`bnxt_get_rxfh`).
        if now != before, now.allSatisfy({ $0 == 0 }), after.contains(where: { $0 != 0 }),
            try !nic.isUp()
        {
            throw isDown("restore the RSS table of \(nic.name)", nic.name)
        }
        let count = try nic.channels()?.receiveQueues
        if now == before {
            // A driver that reset its table leaves the kernel's mark of a table set by a user.
            if isDefault && count == self.before.channels?.receiveQueues {
                try resetTable(to: before, nic)
            }
            return []
        }
        let restoration = TableRestoration(
            before: before, after: after, isDefault: isDefault, now: now, taken: queues,
            queueCount: count)
        if restoration.resets {
            let isAsLarge =
                now.count == before.count && count == self.before.channels?.receiveQueues
            try resetTable(to: isAsLarge ? before : nil, nic)
        } else if restoration.goal != now {
            try nic.setIndirection(restoration.goal)
        }
        let reading = try nic.indirection()
        let isDone = restoration.resets ? reading.count == now.count : reading == restoration.goal
        try verifyRestored(isDone, "the RSS table", nic)
        return restoration.outcomes
    }

    /// Requests the driver's default table, and writes the former table if they differ.
    private func resetTable<NIC: NICControl & ~Copyable>(
        to before: [UInt32]?, _ nic: borrowing NIC
    ) throws(DevmemError) {
        try nic.setIndirection([])
        if let before, try nic.indirection() != before { try nic.setIndirection(before) }
    }

    /// Returns the error for a setting that cannot be read or restored while the interface is down.
    private func isDown(
        _ operation: DevmemError.Operation, _ name: String
    ) -> DevmemError {
        DevmemError(
            .system, operation, errno: .networkDown,
            advice: "ip link set \(shellWord(name)) up, then \(AdvisedCommand(.restore, name))")
    }

    private func deleteContext<NIC: NICControl & ~Copyable>(
        _ table: [UInt32], _ id: UInt32?, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome? {
        let candidates = try nic.contexts().filter { context in
            id.map { $0 == context.id } ?? !before.contexts.contains(context.id)
        }
        guard let mine = candidates.first(where: { $0.indirection == table }) else {
            guard id != nil, let changed = candidates.first else { return nil }
            return .leftAlone("RSS context \(changed.id) was changed meanwhile")
        }
        try nic.deleteContext(mine.id)
        return .restored("RSS context \(mine.id) deleted")
    }

    private func deleteRule<NIC: NICControl & ~Copyable>(
        _ alternatives: [FlowRule], _ placed: SteeringChange.PlacedRule?, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome? {
        guard let placed else {
            // The location was not recorded. A new rule equal to one of the alternatives is ours.
            let known = Set(before.ruleLocations + ownLocations)
            if let location = try nic.unrecordedLocation(of: alternatives, besides: known) {
                try nic.removeRule(at: location)
                return .restored("flow rule \(location) deleted")
            }
            guard try nic.isUp() else {
                throw isDown("delete a flow rule of \(nic.name)", nic.name)
            }
            return nil
        }
        // gve reports a rule by location after a reset has deleted and unlisted it. fbnic lists
        // none while it is down, and all of them again when it is up (`fbnic_clear_valid_act_tcam`
        // of fbnic_rpc.c).
        let isListed = try nic.ruleTable()?.locations.contains(placed.location) == true
        guard isListed, let found = try nic.rule(at: placed.location) else {
            guard try nic.isUp() else {
                throw isDown(
                    .init(.deleteFlowRule, "delete flow rule \(placed.location) of \(nic.name)"),
                    nic.name)
            }
            return nil
        }
        guard placed.isRealized(by: found) else {
            return .leftAlone("flow rule \(placed.location) was replaced: \(found.text)")
        }
        try nic.removeRule(at: placed.location)
        return .restored("flow rule \(placed.location) deleted")
    }

    private var ownLocations: [UInt32] {
        changes.compactMap {
            if case .addRule(_, let placed) = $0 { placed?.location } else { nil }
        }
    }

    func verifyRestored<NIC: NICControl & ~Copyable>(
        _ isSo: Bool, _ setting: String, _ nic: borrowing NIC
    ) throws(DevmemError) {
        guard !isSo else { return }
        throw DevmemError(
            .unsupported, call: "restore \(setting) of \(nic.name)",
            message: "the driver reported success, but it reads back differently")
    }

    /// Returns the settings that changed although no one asked.
    private func sideEffects<NIC: NICControl & ~Copyable>(on nic: borrowing NIC) -> [String] {
        var effects: [String] = []
        if let now = try? nic.rings().sizes {
            for (ring, size) in before.rings.sizes.sorted(by: { $0.key < $1.key })
            where now[ring] != size {
                effects.append("the \(ring) ring has \(now[ring].text) entries, it had \(size)")
            }
        }
        if let channels = before.channels, let now = try? nic.channels(), now != channels {
            effects.append("the number of channels has changed (ethtool -l \(shellWord(nic.name)))")
        }
        return effects
    }
}

extension Optional {
    /// The value in words.
    var text: String { map { "\($0)" } ?? "gone" }
}

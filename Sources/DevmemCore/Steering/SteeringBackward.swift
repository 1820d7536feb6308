import Logging
import SystemPackage

/// What came of taking changes back.
public struct SteeringReversal: Equatable, Sendable {
    /// What was put back, a phrase each.
    public var restored: [String] = []
    /// What someone else had changed meanwhile, a sentence each.
    public var leftAlone: [String] = []
    /// The first failure; what it concerns is still in the journal.
    public var failure: DevmemError?
}

extension SteeringJournal {
    /// Takes back the changes that were begun, the last first, and drops each from the journal; goes
    /// on after a failure. It can be broken off anywhere and done again.
    mutating func reverse<NIC: NICControl & ~Copyable>(
        on nic: borrowing NIC, logger: Logger,
        save: (SteeringJournal) throws(DevmemError) -> Void
    ) -> SteeringReversal {
        var result = SteeringReversal()
        // Until it is noted that settings go back, values in between would look like another's.
        let isResumed = phase == .restoring
        changes.removeLast(changes.count - min(max(begun, 0), changes.count))
        phase = .restoring
        do throws(DevmemError) { try save(self) } catch { result.failure = error }
        for index in changes.indices.reversed() {
            do throws(DevmemError) {
                switch try takeBack(changes[index], on: nic, isResumed: isResumed) {
                case .restored(let what): result.restored.append(what)
                case .leftAlone(let what): result.leftAlone.append(what)
                case .nothingToDo: break
                }
                changes.remove(at: index)
                begun = changes.count
                if !changes.isEmpty { try save(self) }
            } catch {
                logger.debug("\(nic.name): \(error)")
                result.failure = result.failure ?? error
            }
        }
        if result.failure == nil { result.leftAlone += sideEffects(on: nic) }
        return result
    }

    private enum Outcome {
        case restored(String)
        case leftAlone(String)
        case nothingToDo
    }

    private func takeBack<NIC: NICControl & ~Copyable>(
        _ change: SteeringChange, on nic: borrowing NIC, isResumed: Bool
    ) throws(DevmemError) -> Outcome {
        switch change {
        case .headerSplit(let before, let after):
            return try restoreHeaderSplit(before, after, nic, isResumed)
        case .splitThreshold(let before, let after):
            return try restoreThreshold(before, after, nic)
        case .feature(let feature, let wasWanted): return try turnOff(feature, nic, wasWanted)
        case .indirection(let before, let after, let isDefault):
            return try restoreTable(before, after, isDefault, nic)
        case .createContext(let table, let id):
            return try deleteContext(table, id, nic)
        case .addRule(let alternatives, let placed):
            return try deleteRule(alternatives, placed, nic)
        }
    }

    private func restoreHeaderSplit<NIC: NICControl & ~Copyable>(
        _ before: HeaderSplit, _ after: HeaderSplit, _ nic: borrowing NIC, _ isResumed: Bool
    ) throws(DevmemError) -> Outcome {
        let now = try nic.rings().headerSplit
        if now == before && before != after { return .nothingToDo }
        guard now == after || after == .unknown || isResumed else {
            return .leftAlone("tcp-data-split is \(now.text), neither \(before) nor \(after)")
        }
        // "As the driver likes" is what it was unless a user had set it; reading tells. Some
        // drivers do not take it.
        var refusal: DevmemError?
        do throws(DevmemError) { try nic.setHeaderSplit(.unknown) } catch { refusal = error }
        if try nic.rings().headerSplit != before {
            if let refusal, before == .unknown { throw refusal }
            try nic.setHeaderSplit(before)
            try confirm(nic.rings().headerSplit == before, "tcp-data-split", nic)
        }
        return .restored("tcp-data-split \(before)")
    }

    private func restoreThreshold<NIC: NICControl & ~Copyable>(
        _ before: UInt32, _ after: UInt32, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome {
        let now = try nic.rings().splitThreshold
        if now == before { return .nothingToDo }
        guard now == after else {
            return .leftAlone("hds-thresh is \(now.text), neither \(before) nor \(after)")
        }
        try nic.setSplitThreshold(before)
        try confirm(nic.rings().splitThreshold == before, "hds-thresh", nic)
        return .restored("hds-thresh \(before)")
    }

    private func turnOff<NIC: NICControl & ~Copyable>(
        _ feature: SteeringFeature, _ nic: borrowing NIC, _ wasWanted: Bool
    ) throws(DevmemError) -> Outcome {
        // A wish that the driver refused stays with the kernel, which would try again some time.
        let now = try nic.feature(feature)
        guard now.isActive || now.isWanted && !wasWanted else { return .nothingToDo }
        if feature == .flowRules {
            let locations = Set(try nic.ruleTable()?.locations ?? [])
            // One of ours that could not be deleted is tried again, and this after it.
            if let mine = mineByLocation.first(where: locations.contains) {
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
        try nic.setFeature(feature, false)
        return .restored("\(feature.rawValue) off")
    }

    /// Entry by entry, so that what others changed besides stays.
    private func restoreTable<NIC: NICControl & ~Copyable>(
        _ before: [UInt32], _ after: [UInt32], _ isDefault: Bool, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome {
        let now = try nic.indirection()
        if now == before { return .nothingToDo }
        guard now.count == before.count else {
            return .leftAlone("the RSS table has \(now.count) entries, not \(before.count)")
        }
        var goal = now
        var foreign = 0
        for slot in now.indices where now[slot] != before[slot] {
            if now[slot] == after[slot] { goal[slot] = before[slot] } else { foreign += 1 }
        }
        let kept = foreign == 0 ? nil : "\(foreign) RSS table entries were changed meanwhile"
        if let kept, goal == now { return .leftAlone(kept) }
        if goal == before && isDefault {
            try nic.setIndirection([])
            if try nic.indirection() != before { try nic.setIndirection(before) }
        } else {
            try nic.setIndirection(goal)
        }
        try confirm(nic.indirection() == goal, "the RSS table", nic)
        return kept.map { .leftAlone($0) } ?? .restored("RSS table as before")
    }

    private func deleteContext<NIC: NICControl & ~Copyable>(
        _ table: [UInt32], _ id: UInt32?, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome {
        let candidates = try nic.contexts().filter { context in
            id.map { $0 == context.id } ?? !before.contexts.contains(context.id)
        }
        guard let mine = candidates.first(where: { $0.indirection == table }) else {
            guard id != nil, let changed = candidates.first else { return .nothingToDo }
            return .leftAlone("RSS context \(changed.id) was changed meanwhile")
        }
        try nic.deleteContext(mine.id)
        return .restored("RSS context \(mine.id) deleted")
    }

    private func deleteRule<NIC: NICControl & ~Copyable>(
        _ alternatives: [FlowRule], _ placed: SteeringChange.PlacedRule?, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome {
        guard let placed else {
            // Where it got, if it did, was not written down any more: a new one like it is it.
            let known = Set(before.ruleLocations + mineByLocation)
            for location in try nic.ruleTable()?.locations ?? [] where !known.contains(location) {
                guard let found = try nic.rule(at: location),
                    alternatives.contains(where: found.isSame)
                else { continue }
                try nic.removeRule(at: location)
                return .restored("flow rule \(location) deleted")
            }
            return .nothingToDo
        }
        guard let found = try nic.rule(at: placed.location) else { return .nothingToDo }
        guard found.isSame(as: placed.rule) else {
            return .leftAlone("flow rule \(placed.location) is another by now: \(found.text)")
        }
        try nic.removeRule(at: placed.location)
        return .restored("flow rule \(placed.location) deleted")
    }

    private var mineByLocation: [UInt32] {
        changes.compactMap {
            if case .addRule(_, let placed) = $0 { placed?.location } else { nil }
        }
    }

    private func confirm<NIC: NICControl & ~Copyable>(
        _ isSo: Bool, _ setting: String, _ nic: borrowing NIC
    ) throws(DevmemError) {
        guard !isSo else { return }
        throw DevmemError(
            .unsupported, call: "restore \(setting) of \(nic.name)",
            message: "the driver says that it did, but reading it back shows otherwise")
    }

    /// What nobody asked for and yet is other than it was.
    private func sideEffects<NIC: NICControl & ~Copyable>(on nic: borrowing NIC) -> [String] {
        var effects: [String] = []
        if let now = try? nic.rings().sizes {
            for (ring, size) in before.rings.sizes.sorted(by: { $0.key < $1.key })
            where now[ring] != size {
                effects.append("the \(ring) ring has \(now[ring].text) entries, it had \(size)")
            }
        }
        if let channels = before.channels, let now = try? nic.channels(), now != channels {
            effects.append("the channels are not as many as they were (ethtool -l \(nic.name))")
        }
        return effects
    }
}

extension Optional {
    /// The value in words.
    fileprivate var text: String { map { "\($0)" } ?? "gone" }
}

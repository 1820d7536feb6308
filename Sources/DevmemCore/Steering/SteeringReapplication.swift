import Logging

extension SteeringJournal {
    /// Makes a lost change again. The journal is saved before the NIC is changed, and always
    /// describes what must be undone.
    ///
    /// - Parameters:
    ///   - loss: the change.
    ///   - nic: the NIC.
    ///   - logger: receives what the NIC refuses.
    ///   - save: persists the journal.
    /// - Throws: `DevmemError` if the driver refuses the change or `save` fails; of kind `invalid`
    ///   if someone else has changed the RSS context, or the table has no other queues.
    mutating func renew<NIC: NICControl & ~Copyable>(
        _ loss: SteeringLoss, on nic: borrowing NIC, logger: Logger,
        save: (SteeringJournal) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        // Renewing an earlier change may have brought this one back.
        let state = try SteeringState(of: nic, for: self)
        guard losses(in: state).contains(where: { $0.change == loss.change }) else { return }
        // Our next rule or context may get a location or id that others have freed since.
        let locations = try nic.ruleTable()?.locations ?? []
        before.ruleLocations.removeAll { !locations.contains($0) }
        let contexts = try nic.contexts()
        before.contexts.removeAll { id in !contexts.contains { $0.id == id } }
        let lost = self
        switch changes[loss.change] {
        case .addRule(let alternatives, installed: let placed?):
            changes[loss.change] = .addRule(
                aimed(alternatives, as: placed.rule), installed: nil)
        case .createContext(let table, let id?):
            guard !contexts.contains(where: { $0.id == id }) else {
                throw DevmemError(
                    .invalid, call: "restore RSS context \(id) of \(nic.name)",
                    message: "someone else has changed it")
            }
            try removeRulesOfContext(ledTo: id, on: nic)
            changes[loss.change] = .createContext(table: table, id: nil)
        case .indirection(let older, _, let isDefault):
            let now = try nic.indirection()
            let count = try nic.channels()?.receiveQueues ?? 0
            let after = SteeringPlan.indirection(
                now, without: Set(queues), queueCount: UInt32(clamping: count))
            guard after != now else {
                throw DevmemError(
                    .invalid, call: "change the RSS table of \(nic.name)",
                    message: "it leads only to queue \(queueList(queues))")
            }
            // The kernel's default for another number of channels counts as a default too.
            let isAnotherDefault =
                count > 0 && now == defaultIndirection(slots: now.count, queues: count)
            changes[loss.change] = .indirection(
                before: now, after: after,
                isDefault: isAnotherDefault || isDefault && now == older)
        default: break
        }
        do throws(DevmemError) {
            try save(self)
            let step = loss.change..<loss.change + 1
            if try make(step, on: nic, logger: logger, save: save) { try save(self) }
            // Add the rules that pointed to the old context again.
            for index in changes.prefix(max(begun, 0)).indices {
                guard case .addRule(_, installed: nil) = changes[index] else { continue }
                let step = index..<index + 1
                if try make(step, on: nic, logger: logger, save: save) { try save(self) }
            }
        } catch {
            if isCertainlyNotApplied(loss.change) {
                self = lost
                try save(self)
            }
            throw explained(error).naming(nic.name)
        }
    }

    /// Returns whether the refused change is certainly not on the NIC, so that the old journal
    /// still holds.
    private func isCertainlyNotApplied(_ index: Int) -> Bool {
        switch changes[index] {
        case .indirection, .createContext(_, id: nil), .addRule(_, installed: nil): true
        default: false
        }
    }

    /// Returns the alternatives of a rule with its target, the accepted rule first.
    private func aimed(_ alternatives: [FlowRule], as rule: FlowRule) -> [FlowRule] {
        let all = alternatives.map { $0.aimed(at: rule.target) }
        return [rule] + all.drop { $0 != rule }.filter { $0 != rule }
    }

    /// Deletes the rules that point to a context that is gone; they wait for its successor.
    private mutating func removeRulesOfContext<NIC: NICControl & ~Copyable>(
        ledTo id: UInt32, on nic: borrowing NIC
    ) throws(DevmemError) {
        for index in changes.indices {
            guard case .addRule(let rules, installed: let placed?) = changes[index],
                placed.rule.target == .context(id)
            else { continue }
            if try nic.rule(at: placed.location)?.isSame(as: placed.rule) == true {
                try nic.deleteRule(at: placed.location)
            }
            let waiting = aimed(rules, as: placed.rule).map { $0.aimed(at: .newContext) }
            changes[index] = .addRule(waiting, installed: nil)
        }
    }
}

import Logging
import SystemPackage

extension SteeringJournal {
    /// Makes the changes in order and verifies each by reading it back. `save` persists the journal
    /// before each change, and after those whose result cannot be predicted.
    ///
    /// - Throws: `DevmemError` of the first change that fails, or of `save`; the changes that were
    ///   begun remain in the journal.
    mutating func apply<NIC: NICControl & ~Copyable>(
        to nic: borrowing NIC, logger: Logger,
        save: (SteeringJournal) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        var index = 0
        while index < changes.count {
            let step = ringChanges(from: index) ?? index..<index + 1
            for change in changes[step] { logger.debug("\(nic.name): \(change)") }
            begun = step.upperBound
            try save(self)
            do throws(DevmemError) {
                if try make(step, on: nic, logger: logger, save: save) { try save(self) }
            } catch {
                // A refused rule is not on the NIC; an equal one that appears later belongs to
                // someone else.
                if case .addRule(_, installed: nil) = changes[index] { begun = index }
                throw error
            }
            index = step.upperBound
        }
    }

    /// Makes one change, or two that share a request; returns whether the journal was updated.
    mutating func make<NIC: NICControl & ~Copyable>(
        _ step: Range<Int>, on nic: borrowing NIC, logger: Logger,
        save: (SteeringJournal) throws(DevmemError) -> Void
    ) throws(DevmemError) -> Bool {
        let index = step.lowerBound
        switch changes[index] {
        case .headerSplit, .splitThreshold:
            return try setRings(step, on: nic, save: save)
        case .feature(let feature, _):
            do throws(DevmemError) {
                try nic.ask(for: feature, true)
            } catch {
                throw explainFeature(feature, error, nic.name)
            }
            try verify(nic.feature(feature).isActive, feature.rawValue, nic.name)
        case .indirection(_, let after, _):
            try nic.setIndirection(after)
            try verify(nic.indirection() == after, "the RSS table", nic.name)
        case .createContext(let table, _):
            let id = try nic.createContext(table)
            changes[index] = .createContext(table: table, id: id)
            let made = try nic.contexts().first { $0.id == id }
            try verify(made?.indirection == table, "RSS context \(id)", nic.name)
            aimRules(at: id)
            return true
        case .addRule(let alternatives, _):
            var stuck: PlacedRule?
            let known = self
            func note(_ placed: PlacedRule) throws(DevmemError) {
                var noted = known
                noted.changes[index] = .addRule(alternatives, installed: placed)
                try save(noted)
            }
            do throws(DevmemError) {
                guard
                    let placed = try add(
                        firstOf: alternatives, to: nic, logger, stuck: &stuck, note: note)
                else { return false }
                changes[index] = .addRule(alternatives, installed: placed)
                return true
            } catch {
                // Record a rule that the driver accepted but does not delete.
                guard let stuck else { throw error }
                changes[index] = .addRule(alternatives, installed: stuck)
                try save(self)
                throw error
            }
        }
        return false
    }

    func verify(
        _ isSo: Bool, _ setting: String, _ name: String
    ) throws(DevmemError) {
        guard !isSo else { return }
        throw DevmemError(
            .unsupported, call: "change \(setting) of \(name)",
            message: "the driver reported success, but it reads back differently",
            advice: "report it to the driver's maintainers")
    }

    /// Aims the rules that wait for the new context at it.
    private mutating func aimRules(at context: UInt32) {
        for index in changes.indices {
            guard case .addRule(let rules, installed: nil) = changes[index] else { continue }
            changes[index] = .addRule(
                rules.map { $0.target == .newContext ? $0.aimed(at: .context(context)) : $0 },
                installed: nil)
        }
    }

    /// Adds the first rule that the NIC accepts; returns nil if a rule added for another flow
    /// serves.
    private func add<NIC: NICControl & ~Copyable>(
        firstOf alternatives: [FlowRule], to nic: borrowing NIC, _ logger: Logger,
        stuck: inout PlacedRule?, note: (PlacedRule) throws(DevmemError) -> Void
    ) throws(DevmemError) -> PlacedRule? {
        var refusal = DevmemError(
            .unsupported, .init(.addFlowRule, "add a flow rule to \(nic.name)"),
            message: "there is none to add")
        for rule in alternatives {
            if mine.contains(where: { $0.match == rule.match }) { return nil }
            do throws(DevmemError) {
                let location = try nic.place(rule, stuck: &stuck, note: note)
                if rule != alternatives.first {
                    logger.notice("\(nic.name) supports no narrower rule than \(rule)")
                }
                return PlacedRule(rule: rule, location: location)
            } catch {
                logger.debug("\(error)")
                refusal = error
                if !RuleRefusal.isAboutFields(error) { break }
            }
        }
        throw RuleRefusal(name: nic.name, tried: alternatives, error: refusal).explained(on: nic)
    }

    private typealias PlacedRule = SteeringChange.PlacedRule

    /// The rules that the journal's changes have added so far.
    private var mine: [FlowRule] {
        changes.compactMap {
            if case .addRule(_, let placed) = $0 { placed?.rule } else { nil }
        }
    }
}

/// Adds advice where a feature stays off that the kernel reports as changeable. Drivers state the
/// reason in the kernel log only (`mlx5e_fix_features` of mlx5's en_main.c) or not at all
/// (`bnxt_fix_features` of bnxt.c).
private func explainFeature(
    _ feature: SteeringFeature, _ error: DevmemError, _ name: String
) -> DevmemError {
    guard error.kind == .unsupported else { return error }
    if feature == .flowRules {
        return error.advising(
            "see dmesg; bnxt keeps it off for want of resources, and fewer channels may give it some "
                + "(ethtool -L \(shellWord(name)))")
    }
    return error.advising(
        "mlx5 has device memory since Linux 6.17; there, ethtool --set-priv-flags \(shellWord(name)) "
            + "rx_striding_rq on rx_cqe_compress off; XDP and AF_XDP keep it off too")
}

extension NICControl where Self: ~Copyable {
    /// Returns the main RSS table; empty if the NIC has none.
    func indirection() throws(DevmemError) -> [UInt32] {
        try contexts().first { $0.id == 0 }?.indirection ?? []
    }
}

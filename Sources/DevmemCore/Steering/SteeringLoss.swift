import SystemPackage

/// A change made by steering that is no longer in effect on the NIC.
struct SteeringLoss: Equatable {
    /// The index of the change in the journal.
    var change: Int
    /// The present state, as a sentence without the NIC's name.
    var text: String
}

/// A lost change that was made again.
struct SteeringReapplication: Equatable {
    /// The text of the loss.
    var loss: String
    /// When the change was made again.
    var moment: ContinuousClock.Instant
}

extension [SteeringReapplication] {
    /// Adds one. The latest suffice to explain a stream, however many there were.
    mutating func note(_ loss: String, at moment: ContinuousClock.Instant) {
        self = suffix(15) + [SteeringReapplication(loss: loss, moment: moment)]
    }
}

/// The present state of what steering changed.
struct SteeringState: Equatable {
    var rings: RingSettings
    var contexts: [RSSContext]
    var features: [SteeringFeature: Bool] = [:]
    /// The rules at the locations of our rules.
    var rules: [UInt32: InstalledRule] = [:]

    /// The main RSS table; empty if the NIC has none.
    var indirection: [UInt32] { contexts.first { $0.id == 0 }?.indirection ?? [] }
}

extension SteeringState {
    /// Reads the settings that a journal covers, and no rule of others.
    init<NIC: NICControl & ~Copyable>(
        of nic: borrowing NIC, for journal: SteeringJournal
    ) throws(DevmemError) {
        self.init(rings: try nic.rings(), contexts: try nic.contexts())
        // After a reset gve still reports a rule that it no longer lists.
        let listed = Set(try nic.ruleTable()?.locations ?? [])
        for change in journal.changes {
            switch change {
            case .feature(let feature, _):
                features[feature] = try nic.feature(feature).isActive
            case .addRule(_, installed: let placed?) where listed.contains(placed.location):
                rules[placed.location] = try nic.rule(at: placed.location)
            default: break
            }
        }
    }
}

extension SteeringJournal {
    /// Returns the changes that are no longer in effect. Pure.
    ///
    /// - Parameter state: the NIC's present state.
    /// - Returns: a loss for each change that was undone, in the order of the changes.
    func losses(in state: SteeringState) -> [SteeringLoss] {
        changes.prefix(max(begun, 0)).enumerated().compactMap { index, change in
            loss(of: change, in: state).map { SteeringLoss(change: index, text: $0) }
        }
    }

    private func loss(of change: SteeringChange, in state: SteeringState) -> String? {
        switch change {
        case .headerSplit(_, after: .on, _):
            guard state.rings.headerSplit != .on else { return nil }
            let now = state.rings.headerSplit.map { "\($0)" } ?? "gone"
            return "tcp-data-split is \(now) but was set to on"
        // With "unknown" the driver decides, so any state is right.
        case .headerSplit: return nil
        case .splitThreshold(_, let after):
            guard let now = state.rings.splitThreshold, now != after else { return nil }
            return "hds-thresh is \(now) but was set to \(after)"
        case .feature(let feature, _):
            return state.features[feature] == false
                ? "\(feature.rawValue) is off but was turned on" : nil
        case .indirection:
            let back = Set(queues).intersection(state.indirection)
            return back.isEmpty
                ? nil
                : "the RSS table leads other traffic to queue \(queueList(Array(back))) again"
        case .createContext(let table, let id?):
            guard let now = state.contexts.first(where: { $0.id == id }) else {
                return "RSS context \(id) is gone"
            }
            return now.indirection == table ? nil : "RSS context \(id) was changed"
        case .addRule(_, installed: let placed?):
            guard let now = state.rules[placed.location] else {
                return "flow rule \(placed.location) is gone: \(placed.rule)"
            }
            return now.isSame(as: placed.rule)
                ? nil
                : "flow rule \(placed.location) was replaced by \(now.text), it was \(placed.rule)"
        case .createContext, .addRule: return nil
        }
    }
}

import SystemPackage

/// A change that steering made and that the NIC no longer has.
struct SteeringLoss: Equatable {
    /// Which of the journal's changes it is.
    var change: Int
    /// What is so, in a sentence without the NIC's name.
    var text: String
}

/// A loss that was made good.
struct SteeringRenewal: Equatable {
    /// What was lost, in the loss's words.
    var loss: String
    /// When it was made again.
    var moment: ContinuousClock.Instant
}

/// What a NIC has at the moment of what steering changed.
struct SteeringState: Equatable {
    var rings: RingSettings
    var contexts: [RSSContext]
    var features: [SteeringFeature: Bool] = [:]
    /// The rules at the locations of ours.
    var rules: [UInt32: InstalledRule] = [:]

    init(rings: RingSettings, contexts: [RSSContext]) {
        self.rings = rings
        self.contexts = contexts
    }

    /// Reads of a NIC what a journal is about, and no rule of others.
    init<NIC: NICControl & ~Copyable>(
        of nic: borrowing NIC, for journal: SteeringJournal
    ) throws(DevmemError) {
        self.init(rings: try nic.rings(), contexts: try nic.contexts())
        // After a reset gve still tells of a rule that its list no longer has.
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

    /// The main RSS table; empty if the NIC has none.
    var indirection: [UInt32] { contexts.first { $0.id == 0 }?.indirection ?? [] }
}

extension SteeringJournal {
    /// What of its changes the NIC no longer has. Pure.
    ///
    /// - Parameter state: what the NIC has.
    /// - Returns: a loss for each change that is undone, in the order of the changes.
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
        // "As the driver likes" may be anything.
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

import DevmemCore
import DevmemTools

/// A change as JSON: the setting with its values before and after.
struct ChangeReport: Encodable {
    private enum Key: String, CodingKey {
        case setting, before, after, text, context, location
    }

    let change: SteeringChange

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(change.description, forKey: .text)
        switch change {
        case .headerSplit(let before, let after, _):
            try container.encode("tcp-data-split", forKey: .setting)
            try container.encode("\(before)", forKey: .before)
            try container.encode("\(after)", forKey: .after)
        case .splitThreshold(let before, let after):
            try container.encode("hds-thresh", forKey: .setting)
            try container.encode(before, forKey: .before)
            try container.encode(after, forKey: .after)
        case .feature(let feature, _):
            try container.encode(feature.ethtoolName, forKey: .setting)
            try container.encode(false, forKey: .before)
            try container.encode(true, forKey: .after)
        case .indirection(let before, let after, _):
            try container.encode("rss-table", forKey: .setting)
            try container.encode(before, forKey: .before)
            try container.encode(after, forKey: .after)
        case .createContext(let table, let id):
            try container.encode("rss-context", forKey: .setting)
            try container.encode(table, forKey: .after)
            try container.encodeIfPresent(id, forKey: .context)
        case .addRule(let alternatives, let placed):
            try container.encode("flow-rule", forKey: .setting)
            let rules = placed.map { [$0.rule] } ?? alternatives
            try container.encode(rules.map(\.description), forKey: .after)
            try container.encodeIfPresent(placed?.location, forKey: .location)
        }
    }
}

/// The report of `steer plan` and `steer apply`.
struct PlanReport: Encodable {
    private enum CodingKeys: CodingKey {
        case version, interface, name, queues, changes, notes, interruptions, ethtool
    }

    let version = 1
    var interface: String
    var name: String?
    var queues: [UInt32]
    var changes: [ChangeReport]
    var notes: [String]
    var interruptions: SteeringInterruptions?
    var ethtool: [String]?

    init(
        interface: String, name: String? = nil, queues: [UInt32], changes: [SteeringChange],
        notes: [String], interruptions: SteeringInterruptions? = nil, ethtool: [String]? = nil
    ) {
        self.interface = interface
        self.name = name
        self.queues = queues
        self.changes = changes.map { ChangeReport(change: $0) }
        self.notes = notes
        self.interruptions = interruptions
        self.ethtool = ethtool
    }
}

/// The report of `steer restore` on one NIC.
struct RestoreReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case interface, restored, failure
        case steeredBy = "steered_by"
        case leftAlone = "left_alone"
        case isForgotten = "forgotten"
    }

    var interface: String
    var steeredBy: String?
    var restored: [String] = []
    var leftAlone: [String] = []
    var isForgotten = false
    var failure: String?

    init(interface: String) {
        self.interface = interface
    }

    /// The report as text.
    var text: String {
        guard failure == nil else { return "" }
        if isForgotten { return "\(interface): journal dropped, settings left alone\n" }
        guard let steeredBy else { return "\(interface): nothing is steered\n" }
        let done = restored.isEmpty ? "nothing to restore" : restored.joined(separator: ", ")
        return "\(interface), steered by \(steeredBy): \(done)\n"
            + leftAlone.map { "\(interface): left alone: \($0)\n" }.joined()
    }
}

/// The report of `steer restore`.
struct RestoreReports: Encodable {
    private enum CodingKeys: CodingKey {
        case version, interfaces
    }

    let version = 1
    var interfaces: [RestoreReport]
}

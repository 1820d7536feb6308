/// One change of a NIC's settings: what was and what becomes.
package enum SteeringChange: Equatable, Sendable, Codable, CustomStringConvertible {
    /// Header split. Set even if it reads on: the kernel asks that a user has set it. `wasUserSet` says
    /// that what it was is what a user had set, not only the driver's state; nil until that is known,
    /// and where it cannot be.
    case headerSplit(before: HeaderSplit, after: HeaderSplit, wasUserSet: Bool? = nil)
    /// The packet size in bytes up to which headers are not split off.
    case splitThreshold(before: UInt32, after: UInt32)
    /// A feature is turned on; `wasWanted` says that a user had asked for that in vain.
    case feature(SteeringFeature, wasWanted: Bool)
    /// The main RSS table; `isDefault` says that `before` is how the driver spreads by default.
    case indirection(before: [UInt32], after: [UInt32], isDefault: Bool)
    /// A new RSS context; its number is known once it is made.
    case createContext(table: [UInt32], id: UInt32?)
    /// A new flow rule, the first of these that the NIC takes; then the one it took.
    case addRule([FlowRule], installed: PlacedRule?)

    /// A rule that a NIC took, and the location that it got.
    package struct PlacedRule: Equatable, Sendable, Codable {
        /// The rule.
        package var rule: FlowRule
        /// Its place in the NIC's table.
        package var location: UInt32
        /// What the driver made of it, if that is another rule and could not be deleted at once:
        /// `struct ethtool_rx_flow_spec`.
        var altered: [UInt8]?
        /// True while it is only known that the driver took it, and not yet what it made of it; nil
        /// else.
        var isUnproven: Bool?

        /// Makes it from its parts.
        package init(rule: FlowRule, location: UInt32) {
            self.rule = rule
            self.location = location
        }

        /// One that the driver just took.
        init(unproven rule: FlowRule, location: UInt32) {
            self.init(rule: rule, location: location)
            isUnproven = true
        }

        /// Whether a rule at its place is what became of it.
        func hasBecome(_ found: InstalledRule) -> Bool {
            found.isSame(as: rule) || altered == found.specification
                || isUnproven == true && found.isVariant(of: rule) && !found.contradicts(rule)
        }
    }

    /// The change in words.
    package var description: String {
        switch self {
        case .headerSplit(let before, let after, _):
            "set tcp-data-split \(after) (it is \(before))"
        case .splitThreshold(let before, let after):
            "set hds-thresh \(after) (it is \(before))"
        case .feature(let feature, _):
            "turn \(feature.text) on (\(feature.rawValue))"
        case .indirection(let before, let after, _):
            "change \(zip(before, after).count { $0 != $1 }) of \(before.count) RSS table entries"
        case .createContext(let table, let id):
            "add RSS context \(id.map { "\($0) " } ?? "")over queues \(queueList(table))"
        case .addRule(_, installed: let placed?):
            "add flow rule \(placed.location): \(placed.rule)"
        case .addRule(let alternatives, nil):
            "add a flow rule: " + (alternatives.first?.description ?? "none")
        }
    }
}

extension SteeringFeature {
    /// What it is, in words.
    var text: String {
        switch self {
        case .flowRules: "flow rules"
        case .hardwareGRO: "hardware GRO"
        }
    }
}

/// How the kernel spreads flows by default (`ethtool_rxfh_indir_default` of linux/ethtool.h in
/// the kernel's own headers).
func defaultIndirection(slots: Int, queues: Int) -> [UInt32] {
    queues > 0 ? (0..<slots).map { UInt32($0 % queues) } : []
}

/// A table in which queues share all slots, made as `ethtool -X` makes it, so that one line of
/// that can tell it: in turn where they stand side by side, otherwise in runs.
func evenIndirection(slots: Int, over queues: [UInt32]) -> [UInt32] {
    guard let first = queues.first, let last = queues.last else { return [] }
    if Int(last - first) == queues.count - 1 {
        return (0..<slots).map { first + UInt32($0 % queues.count) }
    }
    return (0..<slots).map { slot in
        // The first queue whose share of the table ends behind the slot.
        var share = 0
        while slot >= slots * (share + 1) / queues.count { share += 1 }
        return queues[share]
    }
}

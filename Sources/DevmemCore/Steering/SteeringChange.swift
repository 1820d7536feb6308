/// One change to a NIC's settings, with the value before and after.
package enum SteeringChange: Equatable, Sendable, Codable, CustomStringConvertible {
    /// Header split. It is set even if it reads as on, because the kernel requires that a user set
    /// it. `wasUserSet` says whether the former value was a user's setting rather than the driver's
    /// state; nil while or where that is unknown.
    case headerSplit(before: HeaderSplit, after: HeaderSplit, wasUserSet: Bool? = nil)
    /// The packet size in bytes up to which headers are not split.
    case splitThreshold(before: UInt32, after: UInt32)
    /// Turns a feature on; `wasWanted` says that a user had already requested it without effect.
    case feature(SteeringFeature, wasWanted: Bool)
    /// The main RSS table; `isDefault` says that `before` equals the driver's default spread.
    case indirection(before: [UInt32], after: [UInt32], isDefault: Bool)
    /// A new RSS context; its id is known once it exists.
    case createContext(table: [UInt32], id: UInt32?)
    /// A new flow rule: the first of these that the NIC accepts, and then the accepted one.
    case addRule([FlowRule], installed: PlacedRule?)

    /// A rule that a NIC accepted, and its location.
    package struct PlacedRule: Equatable, Sendable, Codable {
        /// The rule.
        package var rule: FlowRule
        /// Its location in the NIC's table.
        package var location: UInt32
        /// The rule that the driver installed instead and did not delete at once, as a `struct
        /// ethtool_rx_flow_spec`.
        var altered: [UInt8]?
        /// True after the driver accepted the rule and until it is verified; otherwise nil.
        var isUnproven: Bool?

        /// Returns whether an installed rule is this rule or what the driver made of it.
        func isRealized(by found: InstalledRule) -> Bool {
            found.isSame(as: rule) || altered == found.specification
                || isUnproven == true && found.mayDerive(from: rule) && !found.contradicts(rule)
        }
    }

    /// The change in words.
    package var description: String {
        switch self {
        case .headerSplit(let before, let after, _):
            "set tcp-data-split \(after) (before: \(before))"
        case .splitThreshold(let before, let after):
            "set hds-thresh \(after) (before: \(before))"
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
    /// The feature in words.
    var text: String {
        switch self {
        case .flowRules: "flow rules"
        case .hardwareGRO: "hardware GRO"
        }
    }
}

/// Returns the kernel's default spread (`ethtool_rxfh_indir_default` of the kernel-internal
/// linux/ethtool.h).
func defaultIndirection(slots: Int, queues: Int) -> [UInt32] {
    queues > 0 ? (0..<slots).map { UInt32($0 % queues) } : []
}

/// Returns a table with equal shares for the queues, laid out as `ethtool -X` does so that one such
/// command can reproduce it: round-robin for consecutive queues, otherwise in runs.
func evenIndirection(slots: Int, over queues: [UInt32]) -> [UInt32] {
    guard let first = queues.first, let last = queues.last else { return [] }
    if Int(last - first) == queues.count - 1 {
        return (0..<slots).map { first + UInt32($0 % queues.count) }
    }
    return (0..<slots).map { slot in
        // Find the first queue whose share of the table ends after the slot.
        var share = 0
        while slot >= slots * (share + 1) / queues.count { share += 1 }
        return queues[share]
    }
}

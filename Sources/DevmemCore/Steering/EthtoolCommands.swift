/// The ethtool(8) shell commands that have the effect of a plan.
struct EthtoolCommands {
    private let interface: String
    private let ruleTable: FlowRuleTable?
    private var used: Set<UInt32> = []
    private(set) var lines: [String] = []

    init(_ plan: SteeringPlan, interface: String, ruleTable: FlowRuleTable?) {
        self.interface = shellWord(interface)
        self.ruleTable = ruleTable
        for change in plan.changes { add(change) }
    }

    private mutating func add(_ change: SteeringChange) {
        switch change {
        case .headerSplit(_, let after, _):
            lines.append("ethtool -G \(interface) tcp-data-split \(after)")
        case .splitThreshold(_, let after):
            lines.append("# hds-thresh needs ethtool 6.15 or newer.")
            lines.append("ethtool -G \(interface) hds-thresh \(after)")
        case .feature(let feature, _):
            lines.append("ethtool -K \(interface) \(feature.ethtoolName) on")
        case .indirection(_, let after, _):
            if let words = Self.indirectionArguments(after) {
                lines.append("ethtool -X \(interface) \(words)")
            } else {
                let queues = Set(after).sorted()
                let even = evenIndirection(slots: after.count, over: queues)
                lines.append("# ethtool cannot change single entries; this spreads all of them.")
                lines.append(
                    "ethtool -X \(interface) \(Self.indirectionArguments(even) ?? "default")")
            }
        case .createContext(let table, _):
            lines.append(
                "context=$(ethtool -X \(interface) \(Self.indirectionArguments(table) ?? "default") "
                    + "context new | sed -n 's/^New RSS context is //p')")
        case .addRule(let alternatives, _):
            let place = place()
            lines.append(
                alternatives.map { rule in
                    let action =
                        rule.target == .newContext
                        ? "\(rule.match) context \"$context\"" : rule.description
                    return "ethtool -N \(interface) \(action)\(place)"
                }.joined(separator: " || "))
        }
    }

    /// Returns the `loc` argument for a rule if the driver does not choose locations itself.
    private mutating func place() -> String {
        guard let ruleTable, !ruleTable.choosesLocation else { return "" }
        guard let free = try? ruleTable.place(besides: used) else { return "" }
        used.insert(free)
        return " loc \(free)"
    }

    /// Returns the arguments with which `ethtool -X` makes a table; nil if it cannot.
    static func indirectionArguments(_ table: [UInt32]) -> String? {
        // The list of weights for higher queue numbers would not fit on a command line.
        guard let least = table.min(), let most = table.max(), most < 1 << 16 else { return nil }
        let count = most - least + 1
        let roundRobinTable = table.indices.map { least + UInt32($0 % Int(count)) }
        if table == roundRobinTable {
            return (least == 0 ? "" : "start \(least) ") + "equal \(count)"
        }
        guard table == table.sorted() else { return nil }
        // Weights equal to the run lengths reproduce the run boundaries exactly.
        let shares = (0...most).map { queue in table.count { $0 == queue } }
        let divisor = shares.reduce(0, greatestCommonDivisor)
        return "weight " + shares.map { "\($0 / divisor)" }.joined(separator: " ")
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        b == 0 ? a : greatestCommonDivisor(b, a % b)
    }
}

extension SteeringFeature {
    /// The feature's name for `ethtool -K`.
    package var ethtoolName: String {
        switch self {
        case .flowRules: "ntuple"
        case .hardwareGRO: rawValue
        }
    }
}

import CDevmem
import SystemPackage

/// The offsets in `struct ethtool_rxnfc` of linux/ethtool.h.
private enum Layout {
    static let data = cdm_ethtool_rxnfc_data
    static let spec = cdm_ethtool_rxnfc_fs
    /// One word for two things: how many rules there are, and a rule's RSS context.
    static let ruleCount = cdm_ethtool_rxnfc_rule_cnt
    static let context = cdm_ethtool_rxnfc_rss_context
    static let ruleLocations = cdm_ethtool_rxnfc_rule_locs
    static let size = cdm_ethtool_rxnfc_size
}

/// A limit above the table size of any NIC.
private let maximumRuleCount = 1 << 20

/// How often a list is requested while its length keeps changing.
private let mostTries = 16

extension EthtoolIoctl {
    /// Reads the table of flow rules; nil if the NIC has none.
    package func flowRules() throws(DevmemError) -> FlowRuleTable? {
        try readStableList(tries: mostTries) { () throws(DevmemError) in try listFlowRules() }
    }

    private func listFlowRules() throws(DevmemError) -> FlowRuleTable? {
        let operation = DevmemError.Operation(.readFlowRules, "read the flow rules of")
        var counts = rxnfc(ETHTOOL_GRXCLSRLCNT)
        do throws(DevmemError) {
            try run(&counts, operation: operation)
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
        let count = Int(counts.word(at: Layout.ruleCount))
        guard count <= maximumRuleCount else {
            throw DevmemError(
                .malformed, operation.on(interface.name),
                message: "the driver reports \(count) of them")
        }
        var all = rxnfc(ETHTOOL_GRXCLSRLALL, locations: count)
        all.store(UInt32(count), at: Layout.ruleCount)
        try run(&all, operation: operation)
        // Fewer if the count includes filters that are no user's rules, as bnxt counts aRFS
        // filters.
        let found = min(Int(all.word(at: Layout.ruleCount)), count)
        return FlowRuleTable(
            count: counts.word(at: Layout.data), all: all.word(at: Layout.data),
            locations: (0..<found).map { all.word(at: Layout.ruleLocations + 4 * $0) })
    }

    /// Reads the rule at a location; nil if there is none.
    package func flowRule(at location: UInt32) throws(DevmemError) -> InstalledRule? {
        var bytes = rxnfc(ETHTOOL_GRXCLSRULE)
        bytes.store(location, at: Layout.spec + FlowSpec.location)
        do throws(DevmemError) {
            try run(&bytes, operation: "read flow rule \(location) of")
        } catch  where error.errno == .noSuchFileOrDirectory || error.errno == .invalidArgument {
            // Drivers use different errnos for a location without a rule.
            return nil
        }
        // Some drivers do not fill in the location.
        bytes.store(location, at: Layout.spec + FlowSpec.location)
        return InstalledRule(
            specification: Array(bytes[Layout.spec..<Layout.spec + FlowSpec.size]),
            context: bytes.word(at: Layout.context))
    }

    /// Inserts a rule and returns its location.
    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32 {
        var bytes = rxnfc(ETHTOOL_SRXCLSRLINS)
        let spec = try FlowSpec.encode(rule, location: place)
        bytes.replaceSubrange(Layout.spec..<Layout.spec + spec.count, with: spec)
        if case .context(let id) = rule.target { bytes.store(id, at: Layout.context) }
        try run(&bytes, operation: .init(.addFlowRule, "add a flow rule to"))
        return bytes.word(at: Layout.spec + FlowSpec.location)
    }

    /// Deletes the rule at a location.
    func deleteRule(at location: UInt32) throws(DevmemError) {
        var bytes = rxnfc(ETHTOOL_SRXCLSRLDEL)
        bytes.store(location, at: Layout.spec + FlowSpec.location)
        try run(&bytes, operation: .init(.deleteFlowRule, "delete flow rule \(location) of"))
    }

    private func rxnfc(_ command: Int32, locations: Int = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Layout.size + 4 * locations)
        bytes.store(UInt32(command), at: 0)
        return bytes
    }
}

/// Reads a list whose length must be requested first, and repeats if the length changed in between:
/// rules were added (EMSGSIZE) or deleted (EINVAL from mlx5).
///
/// - Throws: `DevmemError` from `read`; after the last try also EMSGSIZE or EINVAL.
func readStableList<List>(
    tries: Int, _ read: () throws(DevmemError) -> List
) throws(DevmemError) -> List {
    for _ in 1..<max(tries, 1) {
        do throws(DevmemError) {
            return try read()
        } catch  where error.errno == .messageTooLong || error.errno == .invalidArgument {
            continue
        }
    }
    return try read()
}

/// Reads the rules at the locations, skipping those deleted since they were listed.
package func rules(
    at locations: [UInt32], _ read: (UInt32) throws(DevmemError) -> InstalledRule?
) throws(DevmemError) -> [InstalledRule] {
    var rules: [InstalledRule] = []
    for location in locations {
        if let rule = try read(location) { rules.append(rule) }
    }
    return rules
}

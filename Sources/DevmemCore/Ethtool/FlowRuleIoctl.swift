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

/// More rules than any NIC has.
private let mostRules = 1 << 20

/// How often a list is asked for that grows or shrinks meanwhile.
private let mostTries = 16

extension EthtoolIoctl {
    /// Reads which rules there are; nil if the NIC has no flow rules.
    package func flowRules() throws(DevmemError) -> FlowRuleTable? {
        try readStableList(tries: mostTries) { () throws(DevmemError) in try listFlowRules() }
    }

    private func listFlowRules() throws(DevmemError) -> FlowRuleTable? {
        let call = "read the flow rules of"
        var counts = rxnfc(ETHTOOL_GRXCLSRLCNT)
        do throws(DevmemError) {
            try run(&counts, call: call)
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
        let count = Int(counts.word(at: Layout.ruleCount))
        guard count <= mostRules else {
            throw DevmemError(
                .malformed, call: "\(call) \(interface.name)",
                message: "the driver counts \(count) of them")
        }
        var all = rxnfc(ETHTOOL_GRXCLSRLALL, locations: count)
        all.store(UInt32(count), at: Layout.ruleCount)
        try run(&all, call: call)
        // Fewer where the first answer counts what is no user's rule, as bnxt's does aRFS filters.
        let found = min(Int(all.word(at: Layout.ruleCount)), count)
        return FlowRuleTable(
            count: counts.word(at: Layout.data), all: all.word(at: Layout.data),
            locations: (0..<found).map { all.word(at: Layout.ruleLocations + 4 * $0) })
    }

    /// The rule at a location; nil if there is none.
    package func flowRule(at location: UInt32) throws(DevmemError) -> InstalledRule? {
        var bytes = rxnfc(ETHTOOL_GRXCLSRULE)
        bytes.store(location, at: Layout.spec + FlowSpec.location)
        do throws(DevmemError) {
            try run(&bytes, call: "read flow rule \(location) of")
        } catch  where error.errno == .noSuchFileOrDirectory || error.errno == .invalidArgument {
            // Drivers differ in how they say so.
            return nil
        }
        // Some drivers leave the location out of the answer.
        bytes.store(location, at: Layout.spec + FlowSpec.location)
        return InstalledRule(
            specification: Array(bytes[Layout.spec..<Layout.spec + FlowSpec.size]),
            context: bytes.word(at: Layout.context))
    }

    /// Inserts a rule and returns the location that it got.
    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32 {
        var bytes = rxnfc(ETHTOOL_SRXCLSRLINS)
        let spec = try FlowSpec.encode(rule, location: place)
        bytes.replaceSubrange(Layout.spec..<Layout.spec + spec.count, with: spec)
        if case .context(let id) = rule.target { bytes.store(id, at: Layout.context) }
        try run(&bytes, call: "add a flow rule to")
        return bytes.word(at: Layout.spec + FlowSpec.location)
    }

    /// Deletes the rule at a location.
    func deleteRule(at location: UInt32) throws(DevmemError) {
        var bytes = rxnfc(ETHTOOL_SRXCLSRLDEL)
        bytes.store(location, at: Layout.spec + FlowSpec.location)
        try run(&bytes, call: "delete flow rule \(location) of")
    }

    private func rxnfc(_ command: Int32, locations: Int = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Layout.size + 4 * locations)
        bytes.store(UInt32(command), at: 0)
        return bytes
    }
}

/// Reads a list whose length must be said first, again where it was wrong by then: another process
/// adds rules (EMSGSIZE) or deletes some, which mlx5 calls EINVAL.
///
/// - Throws: `DevmemError` as `read` does, in the end also that the list does not stand still.
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

/// The rules at locations; one that has gone since they were listed is left out.
package func rules(
    at locations: [UInt32], _ read: (UInt32) throws(DevmemError) -> InstalledRule?
) throws(DevmemError) -> [InstalledRule] {
    var rules: [InstalledRule] = []
    for location in locations {
        if let rule = try read(location) { rules.append(rule) }
    }
    return rules
}

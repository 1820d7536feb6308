import CDevmem
import SystemPackage

/// The offsets in `struct ethtool_rxnfc` of linux/ethtool.h on 64-bit machines.
private enum Layout {
    static let data = 8
    static let spec = 16
    /// One word for two things: how many rules there are, and a rule's RSS context.
    static let ruleCount = 184
    static let context = 184
    static let ruleLocations = 188
    static let size = MemoryLayout<ethtool_rxnfc>.size
}

/// What a NIC says of its table of flow rules.
public struct FlowRuleTable: Equatable, Sendable {
    /// The locations in use, ascending.
    public var locations: [UInt32]
    /// How many locations there are; nil if the driver does not tell.
    public var capacity: UInt32?
    /// Whether the driver picks a free location when asked to.
    public var choosesLocation: Bool

    /// Makes a table from its values.
    public init(locations: [UInt32], capacity: UInt32?, choosesLocation: Bool) {
        self.locations = locations
        self.capacity = capacity
        self.choosesLocation = choosesLocation
    }

    /// The place for a new rule: the driver's choice where it has one, else the lowest free.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the table is known to be full.
    func place() throws(DevmemError) -> UInt32 {
        if choosesLocation { return cdm_RX_CLS_LOC_ANY }
        let used = Set(locations)
        let limit = capacity ?? UInt32(used.count + 1)
        guard let free = (0..<limit).first(where: { !used.contains($0) }) else {
            throw DevmemError(
                .unsupported, call: "find room for a flow rule",
                message: "all \(limit) are in use",
                advice: "delete a rule that is no longer needed: ethtool -N IFACE delete N")
        }
        return free
    }
}

extension EthtoolIoctl {
    /// Reads which rules there are; nil if the NIC has no flow rules.
    func flowRules() throws(DevmemError) -> FlowRuleTable? {
        let call = "read the flow rules of"
        var counts = rxnfc(ETHTOOL_GRXCLSRLCNT)
        do throws(DevmemError) {
            try run(&counts, call: call)
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
        let count = Int(counts.word(at: Layout.ruleCount))
        let choosesLocation = counts.word(at: Layout.data) & cdm_RX_CLS_LOC_SPECIAL != 0

        var all = rxnfc(ETHTOOL_GRXCLSRLALL, locations: count)
        all.store(UInt32(count), at: Layout.ruleCount)
        try run(&all, call: call)
        let found = min(Int(all.word(at: Layout.ruleCount)), count)
        let capacity = all.word(at: Layout.data)
        return FlowRuleTable(
            locations: (0..<found).map { all.word(at: Layout.ruleLocations + 4 * $0) }.sorted(),
            capacity: capacity == 0 ? nil : capacity, choosesLocation: choosesLocation)
    }

    /// The rule at a location; nil if there is none.
    func flowRule(at location: UInt32) throws(DevmemError) -> InstalledRule? {
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

/// Which of two flow rules that match the same packet a driver's NIC applies (Linux 7.3).
package enum RulePrecedence: String, Sendable, Codable {
    /// The rule with more fields, at any location (`get_flow_table` of mlx5's en_fs_ethtool.c).
    case mostFields = "most fields"
    /// The rule at the lower location (gve's device; fbnic's table, `fbnic_rpc.c`).
    case lowestLocation = "lowest location"
    /// Unknown, as for bnxt, whose firmware decides.
    case unknown

    /// Looks it up by the driver's name.
    package init(driver: String?) {
        self =
            switch driver {
            case "mlx5_core": .mostFields
            case "gve", "fbnic": .lowestLocation
            default: .unknown
            }
    }

    /// The precedence in words.
    package var text: String {
        switch self {
        case .mostFields: "of overlapping rules the one with more fields takes precedence"
        case .lowestLocation: "of overlapping rules the one at the lower location takes precedence"
        case .unknown: "which of overlapping rules takes precedence is not known"
        }
    }
}

extension FlowSpec {
    /// Counts a rule's fields as mlx5 does (`validate_flow` of its en_fs_ethtool.c); nil for
    /// Ethernet rules, which come after all others.
    static func fieldCount(_ bytes: [UInt8]) -> Int? {
        let word = bytes.word(at: type)
        if case .ethernet = FlowType(word) { return nil }
        let match = FlowMatch(specification: bytes)
        typealias Field = FlowMatch.Field
        var fields = [Field.source, Field.destination]
        if case .address = FlowType(word) {
            fields.append(Field.protocolNumber)
        } else {
            fields += [Field.sourcePort, Field.destinationPort]
        }
        // The type counts as a field.
        var count = 1 + fields.count { match.compares($0) }
        if word & extensionFlag != 0 { count += 1 }
        if word & hardwareAddressFlag != 0, match.compares(Field.destinationHardware) {
            count += 1
        }
        return count
    }
}

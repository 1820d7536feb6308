import CDevmem

/// The offsets in `struct ethtool_rx_flow_spec` of linux/ethtool.h on 64-bit machines.
enum FlowSpec {
    static let size = MemoryLayout<ethtool_rx_flow_spec>.size
    static let type = 0
    static let value = 4
    static let mask = 76
    /// Of the value, and of the mask: `union ethtool_flow_union` and `struct ethtool_flow_ext`.
    static let matchLength = 72
    static let ringCookie = 152
    static let location = 160

    static let tcp4: UInt32 = 1
    static let tcp6: UInt32 = 5
    /// A bit of the type: the rule has an RSS context.
    static let rssFlag: UInt32 = 0x2000_0000
    /// A bit of the type: the rule looks at the destination's hardware address besides.
    static let hardwareAddressFlag: UInt32 = 0x4000_0000
    /// A bit of the type: the rule looks at a VLAN tag or the driver's own data besides.
    static let extensionFlag: UInt32 = 0x8000_0000

    /// Of value or mask: `struct ethtool_flow_ext` behind the union of types.
    enum Extension {
        static let destination = 54
        static let vlanType = 60
        static let vlanTag = 62
        static let data = 64
    }

    /// Encodes a rule for a location. Ports and addresses are big-endian; a mask of ones means that
    /// the field must match. The RSS context is stored outside of this structure.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if an address does not fit the family or the RSS
    ///   context does not exist yet.
    static func encode(_ rule: FlowRule, location place: UInt32) throws(DevmemError) -> [UInt8] {
        let addressLength = rule.isIPv6 ? 16 : 4
        var bytes = [UInt8](repeating: 0, count: size)
        for (address, offset) in [(rule.source, 0), (rule.destination, addressLength)] {
            guard let address else { continue }
            guard address.count == addressLength else {
                throw invalid("an address of \(address.count) bytes")
            }
            bytes.replaceSubrange(value + offset..<value + offset + addressLength, with: address)
            bytes.replaceSubrange(
                mask + offset..<mask + offset + addressLength,
                with: repeatElement(0xff, count: addressLength))
        }
        let ports = 2 * addressLength
        for (port, offset) in [(rule.sourcePort, ports), (rule.destinationPort, ports + 2)] {
            guard let port else { continue }
            bytes.store(port.bigEndian, at: value + offset)
            bytes.store(UInt16.max, at: mask + offset)
        }
        var flowType = rule.isIPv6 ? tcp6 : tcp4
        switch rule.target {
        case .queue(let queue): bytes.store(UInt64(queue), at: ringCookie)
        case .context: flowType |= rssFlag
        case .newContext: throw invalid("its RSS context does not exist yet")
        }
        bytes.store(flowType, at: type)
        bytes.store(place, at: location)
        return bytes
    }

    private static func invalid(_ message: String) -> DevmemError {
        DevmemError(.invalid, call: "build a flow rule", message: message)
    }
}

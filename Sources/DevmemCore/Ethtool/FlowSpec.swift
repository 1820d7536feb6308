import CDevmem

/// The offsets in `struct ethtool_rx_flow_spec` of linux/ethtool.h.
enum FlowSpec {
    static let size = cdm_ethtool_rx_flow_spec_size
    static let type = cdm_ethtool_rx_flow_spec_flow_type
    static let value = cdm_ethtool_rx_flow_spec_h_u
    static let mask = cdm_ethtool_rx_flow_spec_m_u
    /// The length of the value and of the mask: `union ethtool_flow_union` and `struct ethtool_flow_ext`.
    static let matchLength = cdm_ethtool_flow_match_size
    static let ringCookie = cdm_ethtool_rx_flow_spec_ring_cookie
    static let location = cdm_ethtool_rx_flow_spec_location

    static let tcp4 = cdm_TCP_V4_FLOW
    static let tcp6 = cdm_TCP_V6_FLOW
    /// A bit of the type: the rule has an RSS context.
    static let rssFlag = cdm_FLOW_RSS
    /// A bit of the type: the rule also matches the destination's hardware address.
    static let hardwareAddressFlag = cdm_FLOW_MAC_EXT
    /// A bit of the type: the rule also matches a VLAN tag or the driver's own data.
    static let extensionFlag = cdm_FLOW_EXT

    /// Offsets in value and mask: `struct ethtool_flow_ext` after the union of types.
    enum Extension {
        static let destination = cdm_ethtool_flow_ext_h_dest
        static let vlanType = cdm_ethtool_flow_ext_vlan_etype
        static let vlanTag = cdm_ethtool_flow_ext_vlan_tci
        static let data = cdm_ethtool_flow_ext_data
    }

    /// Offsets in value and mask of the fields of rules for IPv4 or IPv6, with any protocol.
    struct Fields {
        let addressLength: Int
        let source: Int
        let destination: Int
        /// The first bytes after the IP header: two ports, or the index of a security association.
        let sourcePort: Int
        var destinationPort: Int { sourcePort + 2 }
        let trafficClass: Int
        /// Only in rules for any protocol.
        let protocolNumber: Int

        init(isIPv6: Bool) {
            addressLength = isIPv6 ? 16 : 4
            source = isIPv6 ? cdm_ethtool_usrip6_spec_ip6src : cdm_ethtool_usrip4_spec_ip4src
            destination = isIPv6 ? cdm_ethtool_usrip6_spec_ip6dst : cdm_ethtool_usrip4_spec_ip4dst
            sourcePort =
                isIPv6 ? cdm_ethtool_usrip6_spec_l4_4_bytes : cdm_ethtool_usrip4_spec_l4_4_bytes
            trafficClass = isIPv6 ? cdm_ethtool_usrip6_spec_tclass : cdm_ethtool_usrip4_spec_tos
            protocolNumber =
                isIPv6 ? cdm_ethtool_usrip6_spec_l4_proto : cdm_ethtool_usrip4_spec_proto
        }
    }

    /// Encodes a rule for a location. Ports and addresses are big-endian; a mask of ones means that
    /// the field must match. The RSS context is stored outside of this structure.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if an address does not fit the family or the RSS
    ///   context does not exist yet.
    static func encode(_ rule: FlowRule, location place: UInt32) throws(DevmemError) -> [UInt8] {
        let fields = Fields(isIPv6: rule.isIPv6)
        let addressLength = fields.addressLength
        var bytes = [UInt8](repeating: 0, count: size)
        for (address, offset) in [
            (rule.source, fields.source), (rule.destination, fields.destination),
        ] {
            guard let address else { continue }
            guard address.count == addressLength else {
                throw invalid("an address of \(address.count) bytes")
            }
            bytes.replaceSubrange(value + offset..<value + offset + addressLength, with: address)
            bytes.replaceSubrange(
                mask + offset..<mask + offset + addressLength,
                with: repeatElement(0xff, count: addressLength))
        }
        for (port, offset) in [
            (rule.sourcePort, fields.sourcePort), (rule.destinationPort, fields.destinationPort),
        ] {
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

import CDevmem

/// The type of a flow rule, which determines its packets and its layout (flow types and `union
/// ethtool_flow_union` of linux/ethtool.h).
enum FlowType: Equatable {
    /// A transport protocol over IPv4 or IPv6; `ports` says whether the rule can match ports.
    case transport(name: String, isIPv6: Bool, protocolNumber: Int32, ports: Bool)
    /// IPv4 or IPv6 with any protocol.
    case address(isIPv6: Bool)
    /// Ethernet.
    case ethernet
    /// Any other type; its layout is unknown.
    case other(UInt32)

    /// The flags that are stored in the type's word.
    static let flags =
        FlowSpec.rssFlag | FlowSpec.hardwareAddressFlag | FlowSpec.extensionFlag

    /// Parses the type's word and ignores the flags.
    init(_ word: UInt32) {
        let number = word & ~Self.flags
        func transport(
            _ name: String, _ protocolNumber: Int32, isIPv6: Bool = false, ports: Bool = true
        ) -> FlowType {
            .transport(
                name: name + (isIPv6 ? "6" : "4"), isIPv6: isIPv6, protocolNumber: protocolNumber,
                ports: ports)
        }
        self =
            switch number {
            case cdm_TCP_V4_FLOW: transport("tcp", cdm_IPPROTO_TCP)
            case cdm_UDP_V4_FLOW: transport("udp", cdm_IPPROTO_UDP)
            case cdm_SCTP_V4_FLOW: transport("sctp", cdm_IPPROTO_SCTP)
            case cdm_AH_V4_FLOW: transport("ah", cdm_IPPROTO_AH, ports: false)
            case cdm_ESP_V4_FLOW: transport("esp", cdm_IPPROTO_ESP, ports: false)
            case cdm_TCP_V6_FLOW: transport("tcp", cdm_IPPROTO_TCP, isIPv6: true)
            case cdm_UDP_V6_FLOW: transport("udp", cdm_IPPROTO_UDP, isIPv6: true)
            case cdm_SCTP_V6_FLOW: transport("sctp", cdm_IPPROTO_SCTP, isIPv6: true)
            case cdm_AH_V6_FLOW: transport("ah", cdm_IPPROTO_AH, isIPv6: true, ports: false)
            case cdm_ESP_V6_FLOW: transport("esp", cdm_IPPROTO_ESP, isIPv6: true, ports: false)
            case cdm_IPV4_USER_FLOW: .address(isIPv6: false)
            case cdm_IPV6_USER_FLOW: .address(isIPv6: true)
            case cdm_ETHER_FLOW: .ethernet
            default: .other(number)
            }
    }

    /// The name in ethtool(8); a number if it has none.
    var name: String {
        switch self {
        case .transport(let name, _, _, _): name
        case .address(let isIPv6): isIPv6 ? "ip6" : "ip4"
        case .ethernet: "ether"
        case .other(let number): "\(number)"
        }
    }
}

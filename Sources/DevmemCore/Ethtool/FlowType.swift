/// The type of a flow rule, which determines its packets and its layout (flow types and `union
/// ethtool_flow_union` of linux/ethtool.h).
enum FlowType: Equatable {
    /// A transport protocol over IPv4 or IPv6; `ports` says whether the rule can match ports.
    case transport(name: String, isIPv6: Bool, protocolNumber: UInt8, ports: Bool)
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
        self =
            switch number {
            case 1: .transport(name: "tcp4", isIPv6: false, protocolNumber: 6, ports: true)
            case 2: .transport(name: "udp4", isIPv6: false, protocolNumber: 17, ports: true)
            case 3: .transport(name: "sctp4", isIPv6: false, protocolNumber: 132, ports: true)
            case 5: .transport(name: "tcp6", isIPv6: true, protocolNumber: 6, ports: true)
            case 6: .transport(name: "udp6", isIPv6: true, protocolNumber: 17, ports: true)
            case 7: .transport(name: "sctp6", isIPv6: true, protocolNumber: 132, ports: true)
            case 9: .transport(name: "ah4", isIPv6: false, protocolNumber: 51, ports: false)
            case 10: .transport(name: "esp4", isIPv6: false, protocolNumber: 50, ports: false)
            case 11: .transport(name: "ah6", isIPv6: true, protocolNumber: 51, ports: false)
            case 12: .transport(name: "esp6", isIPv6: true, protocolNumber: 50, ports: false)
            case 13: .address(isIPv6: false)
            case 14: .address(isIPv6: true)
            case 18: .ethernet
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

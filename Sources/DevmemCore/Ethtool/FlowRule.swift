import CDevmem

/// Where a flow rule sends packets.
public enum RuleTarget: Hashable, Sendable, Codable {
    /// A receive queue.
    case queue(UInt32)
    /// An RSS context, which spreads flows over queues of its own.
    case context(UInt32)
    /// The RSS context that the plan with this rule makes.
    case newContext
}

/// A rule that steers TCP packets. Fields that are nil match anything.
public struct FlowRule: Equatable, Sendable, Codable, CustomStringConvertible {
    /// Source address, 4 or 16 bytes in network order.
    public var source: [UInt8]?
    /// Destination address, 4 or 16 bytes in network order.
    public var destination: [UInt8]?
    /// Source port.
    public var sourcePort: UInt16?
    /// Destination port.
    public var destinationPort: UInt16?
    /// Whether it matches IPv6 packets rather than IPv4.
    public var isIPv6: Bool
    /// Where matching packets go.
    public var target: RuleTarget

    /// Makes a rule from its fields.
    public init(
        isIPv6: Bool, source: [UInt8]? = nil, destination: [UInt8]? = nil,
        sourcePort: UInt16? = nil, destinationPort: UInt16? = nil, target: RuleTarget = .queue(0)
    ) {
        self.isIPv6 = isIPv6
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.target = target
    }

    /// The same rule with another target.
    public func aimed(at target: RuleTarget) -> FlowRule {
        var copy = self
        copy.target = target
        return copy
    }

    /// The rule in the words of ethtool(8): `flow-type tcp4 dst-port 5201 action 7`.
    public var description: String {
        let action =
            switch target {
            case .queue(let queue): "action \(queue)"
            case .context(let id): "context \(id)"
            case .newContext: "context new"
            }
        return "\(match) \(action)"
    }

    /// What it matches, in the words of ethtool(8).
    var match: String {
        var words = ["flow-type", isIPv6 ? "tcp6" : "tcp4"]
        for (name, address) in [("src-ip", source), ("dst-ip", destination)] {
            if let address { words += [name, IPAddress(bytes: address)?.description ?? "?"] }
        }
        for (name, port) in [("src-port", sourcePort), ("dst-port", destinationPort)] {
            if let port { words += [name, "\(port)"] }
        }
        return words.joined(separator: " ")
    }
}

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

    /// The kernel's form of a rule, to be put at `location`. Ports and addresses are big-endian;
    /// a mask of ones means that the field must match. The RSS context stands outside of it.
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
        case .newContext: throw invalid("its RSS context is not made yet")
        }
        bytes.store(flowType, at: type)
        bytes.store(place, at: location)
        return bytes
    }

    private static func invalid(_ message: String) -> DevmemError {
        DevmemError(.invalid, call: "build a flow rule", message: message)
    }
}

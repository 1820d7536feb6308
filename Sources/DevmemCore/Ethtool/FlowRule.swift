/// Where a flow rule directs packets.
package enum RuleTarget: Hashable, Sendable, Codable {
    /// A receive queue.
    case queue(UInt32)
    /// An RSS context, which spreads flows over queues.
    case context(UInt32)
    /// The RSS context that the same plan creates.
    case newContext
}

/// A rule that steers TCP packets. A nil field matches anything.
package struct FlowRule: Equatable, Sendable, Codable, CustomStringConvertible {
    /// Source address, 4 or 16 bytes in network order.
    package var source: [UInt8]?
    /// Destination address, 4 or 16 bytes in network order.
    package var destination: [UInt8]?
    /// Source port.
    package var sourcePort: UInt16?
    /// Destination port.
    package var destinationPort: UInt16?
    /// Whether it matches IPv6 packets rather than IPv4.
    package var isIPv6: Bool
    /// Where matching packets are directed.
    package var target: RuleTarget

    /// Creates a rule from its fields.
    package init(
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

    /// Returns the rule with another target.
    package func aimed(at target: RuleTarget) -> FlowRule {
        var copy = self
        copy.target = target
        return copy
    }

    /// The rule in ethtool(8) syntax: `flow-type tcp4 dst-port 5201 action 7`.
    package var description: String {
        let action =
            switch target {
            case .queue(let queue): "action \(queue)"
            case .context(let id): "context \(id)"
            case .newContext: "context new"
            }
        return "\(match) \(action)"
    }

    /// The match in ethtool(8) syntax.
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

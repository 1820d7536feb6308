/// Which receive queues a user wants for device memory.
package enum QueueChoice: Equatable, Sendable {
    /// These.
    case list([UInt32])
    /// So many, counted from the last one.
    case last(Int)
    /// So many free ones, the last first, that nothing else uses; never queue 0.
    case automatic(Int)
}

/// How flows are spread over several queues.
package enum FlowSpread: String, Sendable, CaseIterable {
    /// Flow by flow, the first queue after the last.
    case roundRobin = "round-robin"
    /// Each flow has a queue for itself.
    case oneToOne = "one-to-one"
    /// All flows go to an RSS context that spreads them over the queues by their hash.
    case rssContext = "rss"
}

/// What becomes of the main RSS table.
package enum TableStyle: String, Sendable, CaseIterable {
    /// Only entries that point at taken queues change.
    case minimal
    /// The queues that are left share it anew, as `ethtool -X` would have it.
    case even
}

/// Certain traffic to be steered: rules for one or both address families.
package struct SteeringFlow: Equatable, Sendable {
    /// For each family the rules that would do, the narrowest first.
    package var families: [[FlowRule]]

    /// Makes a flow from its rules.
    package init(families: [[FlowRule]]) {
        self.families = families
    }

    /// The flow to an endpoint, from one peer if it is given. A wildcard address means any; if the
    /// peer does not decide, of both families. Rules lead to queue 0 until planned.
    ///
    /// - Parameters:
    ///   - listen: address and port that the flow goes to.
    ///   - peer: address that it comes from; nil for any.
    ///   - peerPort: port that it comes from; nil for any.
    package init(to listen: Endpoint, from peer: IPAddress? = nil, port peerPort: UInt16? = nil) {
        let address = listen.address.unmapped
        let peer = peer?.unmapped
        let isBoth = address.isWildcard && address.isIPv6 && peer == nil
        families = (isBoth ? [false, true] : [peer?.isIPv6 ?? address.isIPv6]).map { isIPv6 in
            var widest = FlowRule(isIPv6: isIPv6)
            widest.destinationPort = listen.port
            var rules = [widest]
            if !address.isWildcard {
                widest.destination = address.bytes
                rules.append(widest)
            }
            if let peer {
                widest.source = peer.bytes
                rules.append(widest)
            }
            if let peerPort {
                widest.sourcePort = peerPort
                rules.append(widest)
            }
            return rules.reversed()
        }
    }
}

/// What a user wants of a NIC: certain queues for device memory, and certain traffic on them.
package struct SteeringRequest: Equatable, Sendable {
    /// The receive queues to take.
    package var queues: QueueChoice
    /// The traffic to steer to them.
    package var flows: [SteeringFlow]
    /// How flows are spread over the queues.
    package var spread: FlowSpread
    /// What becomes of the main RSS table.
    package var table: TableStyle
    /// Whether RSS contexts of others may point at the queues too.
    package var sharesContexts: Bool
    /// Whether header split is turned on. Otherwise nobody asks for it any more, as a selftest needs
    /// that wants to see binding refused.
    package var splitsHeaders: Bool

    /// Makes a wish from its parts.
    package init(
        queues: QueueChoice, flows: [SteeringFlow], spread: FlowSpread = .roundRobin,
        table: TableStyle = .minimal, sharesContexts: Bool = false, splitsHeaders: Bool = true
    ) {
        self.queues = queues
        self.flows = flows
        self.spread = spread
        self.table = table
        self.sharesContexts = sharesContexts
        self.splitsHeaders = splitsHeaders
    }
}

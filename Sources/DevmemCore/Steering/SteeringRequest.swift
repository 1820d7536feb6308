/// Which receive queues a user requests for device memory.
public enum QueueChoice: Equatable, Sendable {
    /// These queues.
    case list([UInt32])
    /// This many queues, counted from the last one.
    case last(Int)
    /// This many queues that nothing else uses, from the last one down; never queue 0.
    case automatic(Int)

    /// The number of queues that are asked for.
    package var count: Int {
        switch self {
        case .list(let queues): queues.count
        case .last(let count), .automatic(let count): count
        }
    }
}

/// How flows are spread over several queues.
public enum FlowSpread: String, Sendable, CaseIterable {
    /// One queue after the other, starting again after the last.
    case roundRobin = "round-robin"
    /// Each flow gets a queue of its own.
    case oneToOne = "one-to-one"
    /// All flows go to an RSS context that hashes them to the queues.
    case rssContext = "rss"
}

/// How the main RSS table is changed.
public enum TableStyle: String, Sendable, CaseIterable {
    /// Only the entries of the chosen queues change.
    case minimal
    /// The remaining queues get equal shares, as `ethtool -X` makes them.
    case even
}

/// Traffic to steer: rules for one or both address families.
public struct SteeringFlow: Equatable, Sendable {
    /// For each family, the rules that would serve, the narrowest first.
    package var families: [[FlowRule]]

    /// Creates a flow from its rules.
    package init(families: [[FlowRule]]) {
        self.families = families
    }

    /// Describes the traffic to an endpoint, optionally from one peer. A wildcard address matches
    /// any address; `::` without a peer means both families. The rules point to queue 0 until they
    /// are planned.
    ///
    /// - Parameters:
    ///   - listen: the destination address and port.
    ///   - peer: the source address; nil for any.
    ///   - peerPort: the source port; nil for any.
    public init(to listen: Endpoint, from peer: IPAddress? = nil, port peerPort: UInt16? = nil) {
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

/// What a user requests of a NIC: queues for device memory, and the traffic to steer to them.
public struct SteeringRequest: Equatable, Sendable {
    /// The receive queues to use.
    public var queues: QueueChoice
    /// The traffic to steer to them.
    public var flows: [SteeringFlow]
    /// How flows are spread over the queues.
    public var spread: FlowSpread
    /// How the main RSS table is changed.
    public var table: TableStyle
    /// Whether other RSS contexts may include the queues too.
    public var sharesContexts: Bool
    /// Whether header split is turned on. Otherwise it is set to "unknown", which a selftest needs
    /// to see a bind refused.
    public var splitsHeaders: Bool

    /// Creates a request from its parts.
    public init(
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

import SystemPackage

/// What a user wants of a NIC: certain queues for device memory, and certain traffic on them.
public struct SteeringWish: Equatable, Sendable {
    /// The receive queues to take; nil for the last one.
    public var queues: [UInt32]?
    /// For each flow the rules that would do, the narrowest first.
    public var flows: [[FlowRule]]

    /// Makes a wish from its parts.
    public init(queues: [UInt32]?, flows: [[FlowRule]]) {
        self.queues = queues
        self.flows = flows
    }

    /// The flows to a listening endpoint: from one peer if it is given, and in any case to the
    /// address, if that is not the wildcard, and the port. Rules aim at queue 0 until planned.
    public static func flows(to listen: Endpoint, from peer: IPAddress?) -> [[FlowRule]] {
        let address = listen.address.unmapped
        let peer = peer?.unmapped
        let families =
            address.isWildcard && address.isIPv6 && peer == nil
            ? [false, true] : [peer?.isIPv6 ?? address.isIPv6]
        return families.map { isIPv6 in
            let destination = address.isWildcard ? nil : address.bytes
            var rules: [FlowRule] = []
            if let peer {
                rules.append(
                    FlowRule(
                        isIPv6: isIPv6, source: peer.bytes, destination: destination,
                        destinationPort: listen.port, queue: 0))
            }
            if destination != nil {
                rules.append(
                    FlowRule(
                        isIPv6: isIPv6, destination: destination, destinationPort: listen.port,
                        queue: 0))
            }
            rules.append(FlowRule(isIPv6: isIPv6, destinationPort: listen.port, queue: 0))
            return rules
        }
    }
}

/// One change of a NIC's settings, with what is needed to reverse it.
public enum SteeringChange: Equatable, Sendable, CustomStringConvertible {
    /// Turn header split on.
    case headerSplit(before: HeaderSplit)
    /// Split packets of any size.
    case splitThreshold(before: UInt32)
    /// Spread flows by another RSS table; `reset` says that the driver's default gives `before`.
    case indirection(before: [UInt32], after: [UInt32], reset: Bool)
    /// Turn flow rules on.
    case enableFlowRules
    /// Add the first of these rules that the NIC takes.
    case addRule([FlowRule])

    /// The change in words.
    public var description: String {
        switch self {
        case .headerSplit(let before): "turn header split on (tcp-data-split was \(before))"
        case .splitThreshold(let before): "split packets of any size (hds-thresh was \(before))"
        case .indirection(let before, let after, _):
            "move \(zip(before, after).count { $0 != $1 }) of \(before.count) RSS table entries"
        case .enableFlowRules: "turn flow rules on (\(flowRuleFeature))"
        case .addRule(let alternatives):
            "add a flow rule: " + (alternatives.first?.description ?? "none")
        }
    }
}

/// A list of changes that gives a NIC's user what he wishes, and the queues that it takes.
public struct SteeringPlan: Equatable, Sendable {
    /// The queues to bind, ascending.
    public var queues: [UInt32]
    /// The changes, to be made in this order and reversed in the opposite one.
    public var changes: [SteeringChange]

    /// Works out what to change. Pure: nothing is asked of the kernel.
    ///
    /// - Throws: `DevmemError` of kind `invalid` or `unsupported` if the wish cannot be met; the
    ///   kernel's conditions are in `netif_mp_open_rxq` of net/core/netdev_rx_queue.c.
    public init(
        for wish: SteeringWish, on snapshot: NICSnapshot, interface name: String
    ) throws(DevmemError) {
        queues = try Self.choose(wish.queues, among: snapshot.receiveQueues, interface: name)
        changes = []
        guard let split = snapshot.rings.headerSplit else {
            throw DevmemError(
                .unsupported, call: "turn header split on for \(name)",
                message: "the driver has no tcp-data-split setting",
                advice: "device memory needs a NIC with header split")
        }
        // Set even if reported on: the kernel asks that a user set it.
        changes.append(.headerSplit(before: split))
        if let threshold = snapshot.rings.splitThreshold, threshold != 0 {
            changes.append(.splitThreshold(before: threshold))
        }
        let taken = Set(queues)
        let count = UInt32(snapshot.receiveQueues.count)
        let before = snapshot.indirection
        let after = Self.indirection(before, without: taken, queueCount: count)
        if after != before {
            let isDefault = before == before.indices.map { UInt32($0) % count }
            changes.append(.indirection(before: before, after: after, reset: isDefault))
        }
        guard !wish.flows.isEmpty else { return }
        guard let rules = snapshot.flowRules, rules.isActive || rules.isChangeable else {
            throw DevmemError(
                .unsupported, call: "steer flows on \(name)",
                message: "the driver has no flow rules (\(flowRuleFeature))",
                advice: "device memory needs a NIC that steers flows to queues")
        }
        if !rules.isActive { changes.append(.enableFlowRules) }
        for flow in wish.flows {
            changes.append(
                .addRule(
                    flow.map { rule in
                        var aimed = rule
                        aimed.queue = queues[0]
                        return aimed
                    }))
        }
    }

    /// Moves the slots that point at taken queues to the queues that the table uses besides, in
    /// turn; every other slot stays.
    static func indirection(
        _ table: [UInt32], without taken: Set<UInt32>, queueCount: UInt32
    ) -> [UInt32] {
        var targets = Set(table).subtracting(taken).sorted()
        if targets.isEmpty { targets = (0..<queueCount).filter { !taken.contains($0) } }
        guard !targets.isEmpty else { return table }
        var turn = 0
        return table.map { queue in
            guard taken.contains(queue) else { return queue }
            defer { turn += 1 }
            return targets[turn % targets.count]
        }
    }

    private static func choose(
        _ wanted: [UInt32]?, among queues: [QueueInfo], interface name: String
    ) throws(DevmemError) -> [UInt32] {
        let call = "choose queues of \(name)"
        let ids = queues.map(\.id).sorted()
        guard let last = ids.last else {
            throw DevmemError(
                .invalid, call: call, message: "it has no queues while it is down",
                advice: "ip link set \(name) up")
        }
        let chosen = Set(wanted ?? [last]).sorted()
        guard !chosen.isEmpty else {
            throw DevmemError(.invalid, call: call, message: "none is named")
        }
        if let missing = chosen.first(where: { !ids.contains($0) }) {
            throw DevmemError(
                .invalid, call: call,
                message: "no receive queue \(missing); there are \(queueList(ids))",
                advice: "choose among them, or ethtool -L \(name) gives it more")
        }
        guard chosen.count < ids.count else {
            throw DevmemError(
                .invalid, call: call,
                message: "no queue of \(queueList(ids)) would be left for other traffic",
                advice: "leave one out, or ethtool -L \(name) gives it more")
        }
        for queue in queues where chosen.contains(queue.id) {
            guard let holder = queue.holder else { continue }
            throw DevmemError(
                .invalid, call: call, errno: .resourceBusy,
                message: "queue \(queue.id) is \(holder)",
                advice: "choose another with --queues, or end the process that holds it")
        }
        return chosen
    }
}

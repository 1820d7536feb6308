@testable import DevmemCore

/// A random NIC and steering request, determined by a seed.
struct SteeringScene {
    private static let sources: [[UInt8]?] = [nil, [192, 0, 2, 7], [192, 0, 2, 8]]

    let nic: SimulatedNIC
    let request: SteeringRequest

    init(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let queues = UInt32.random(in: 1...16, using: &random)
        let slots = [0, 16, 64, 128].randomElement(using: &random) ?? 128
        let isDefault = Bool.random(using: &random)
        let table =
            isDefault
            ? defaultIndirection(slots: slots, queues: Int(queues))
            : (0..<slots).map { _ in UInt32.random(in: 0..<queues, using: &random) }
        var contexts = slots == 0 ? [] : [RSSContext(id: 0, indirection: table, key: [1, 2, 3])]
        // Other contexts use the lower queues; otherwise most requests would be refused.
        for id in 1..<UInt32.random(in: 1...3, using: &random) where slots > 0 {
            contexts.append(
                RSSContext(
                    id: id * 2,
                    indirection: (0..<slots).map { _ in
                        UInt32.random(in: 0...queues / 4, using: &random)
                    }))
        }
        let split: HeaderSplit = [.unknown, .off, .on].randomElement(using: &random) ?? .off
        let isExplicit = split != .unknown && Bool.random(using: &random)
        var rules: [InstalledRule] = []
        let capacity: UInt32? = [nil, 4, 8, 32].randomElement(using: &random) ?? nil
        for location in 0..<UInt32.random(in: 0...4, using: &random) {
            let rule = Self.rule(
                target: .queue(UInt32.random(in: 0..<queues, using: &random)), &random)
            let place = location + (Bool.random(using: &random) ? 0 : 5)
            guard place < capacity ?? 1000, !rules.contains(where: { $0.location == place })
            else { continue }
            let bytes = try FlowSpec.encode(rule, location: place)
            if let installed = InstalledRule(specification: bytes, context: 0) {
                rules.append(installed)
            }
        }
        let snapshot = NICSnapshot(
            rings: RingSettings(
                headerSplit: split,
                splitThreshold: [nil, 0, 256].randomElement(using: &random) ?? nil,
                sizes: ["rx": 1024]),
            receiveQueues: (0..<queues).map { QueueInfo(id: $0, type: .rx) }, contexts: contexts,
            ntuple: FeatureState(isActive: Bool.random(using: &random), isChangeable: true),
            // If header split depends on it, split reads as on only if a user set it, and then it
            // is on.
            neededGRO: Bool.random(using: &random) && (isExplicit || split != .on)
                ? FeatureState(
                    isActive: Bool.random(using: &random) || split == .on, isChangeable: true)
                : nil,
            ruleTable: FlowRuleTable(
                locations: rules.map(\.location).sorted(), capacity: capacity,
                choosesLocation: Bool.random(using: &random)), rules: rules)
        // A driver's default that differs from the user's setting is the harder case.
        nic = SimulatedNIC(
            snapshot, defaultSplit: isExplicit ? .off : split, isSplitExplicit: isExplicit)
        nic.canProbe = Bool.random(using: &random)
        // Like gve, which has no threshold and ignores "unknown".
        if !isExplicit, split == .off, snapshot.rings.splitThreshold == nil {
            nic.driver = "gve"
            nic.keepsSplit = true
        }
        nic.refusesSources = UInt32.random(in: 0..<4, using: &random) == 0
        request = Self.request(queues: queues, &random)
    }

    private static func rule(
        target: RuleTarget, _ random: inout SeededGenerator
    ) -> FlowRule {
        FlowRule(
            isIPv6: false, source: sources.randomElement(using: &random) ?? nil,
            destination: Bool.random(using: &random) ? [192, 0, 2, 1] : nil,
            destinationPort: UInt16.random(in: 1...6, using: &random), target: target)
    }

    private static func request(queues: UInt32, _ random: inout SeededGenerator) -> SteeringRequest
    {
        let choices: [QueueChoice] = [
            .list(Array(UInt32.random(in: queues / 2..<queues, using: &random)..<queues)),
            .list([UInt32.random(in: 0..<queues, using: &random)]),
            .last(Int.random(in: 1...3, using: &random)),
            .automatic(Int.random(in: 1...3, using: &random)),
        ]
        let flows = (0..<Int.random(in: 0...4, using: &random)).map { _ in
            SteeringFlow(
                families: (0..<Int.random(in: 1...2, using: &random)).map { _ in
                    let narrow = rule(target: .queue(0), &random)
                    var wide = narrow
                    wide.source = nil
                    return narrow == wide ? [narrow] : [narrow, wide]
                })
        }
        return SteeringRequest(
            queues: choices.randomElement(using: &random) ?? .automatic(1), flows: flows,
            spread: FlowSpread.allCases.randomElement(using: &random) ?? .roundRobin,
            table: TableStyle.allCases.randomElement(using: &random) ?? .minimal)
    }

    /// Returns a journal of the request on the present NIC; nil if the request is refused.
    func journal() throws -> SteeringJournal? {
        let snapshot = try nic.snapshot()
        guard let plan = try? SteeringPlan(for: request, on: snapshot, interface: nic.name) else {
            return nil
        }
        return .sample(plan: plan, on: snapshot)
    }
}

extension SteeringJournal {
    static func sample(plan: SteeringPlan, on snapshot: NICSnapshot) -> SteeringJournal {
        SteeringJournal(
            interface: Interface(name: "sim0", index: 4, namespace: 1, boot: bootID() ?? ""),
            owner: Owner(pid: 812, startTime: 5, command: "devmemtcp test"), plan: plan,
            on: snapshot)
    }
}

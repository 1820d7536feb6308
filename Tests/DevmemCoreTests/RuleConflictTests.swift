import Testing

@testable import DevmemCore

@Suite struct RuleConflictTests {
    private let wide = FlowRule(isIPv6: false, destinationPort: 5201)

    private func snapshot(_ driver: String?, _ rules: [(UInt32, FlowRule)]) throws -> NICSnapshot {
        NICSnapshot(
            driver: driver, rings: RingSettings(headerSplit: .on, splitThreshold: 0),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) },
            contexts: [
                RSSContext(id: 0, indirection: [0, 1]), RSSContext(id: 2, indirection: [7]),
            ],
            ntuple: FeatureState(isActive: true, isChangeable: true),
            ruleTable: FlowRuleTable(
                locations: rules.map(\.0), capacity: 16, choosesLocation: driver == "fbnic"),
            rules: try rules.map { try installed($0.1, at: $0.0) })
    }

    private func installed(_ rule: FlowRule, at location: UInt32) throws -> InstalledRule {
        let id: UInt32 = if case .context(let id) = rule.target { id } else { 0 }
        return try #require(
            InstalledRule(
                specification: try FlowSpec.encode(rule, location: location), context: id))
    }

    private func notes(_ driver: String?, _ rules: [(UInt32, FlowRule)]) throws -> [String] {
        try SteeringPlan(
            for: SteeringRequest(
                queues: .list([7]), flows: [SteeringFlow(families: [[wide]])],
                sharesContexts: true),
            on: try snapshot(driver, rules), interface: "eth1"
        ).notes
    }

    @Test func theRuleThatWinsIsNamedAsTheDriverHasIt() throws {
        var narrow = wide
        narrow.source = [192, 0, 2, 2]
        narrow.target = .queue(1)
        let any = FlowRule(isIPv6: false, target: .queue(1))
        let text = "flow-type tcp4 src-ip 192.0.2.2 dst-port 5201 action 1"
        // The most fields, at any location.
        for location in [0, 9] as [UInt32] {
            #expect(
                try notes("mlx5_core", [(location, narrow)])
                    == [
                        "flow rule \(location) takes precedence and leads part of the flow elsewhere: \(text)"
                    ])
            #expect(
                try notes("mlx5_core", [(location, any)]) == [
                    "flow rule \(location) also matches all of the flow, at lower precedence: "
                        + "flow-type tcp4 action 1"
                ])
        }
        // The lowest location: ours gets the lowest free one.
        #expect(
            try notes("gve", [(0, any)]) == [
                "flow rule 0 takes precedence and leads all of the flow elsewhere: flow-type tcp4 action 1"
            ])
        #expect(
            try notes("gve", [(3, narrow)])
                == ["flow rule 3 also matches part of the flow, at lower precedence: \(text)"])
        // fbnic fills its table from the end, free places first.
        #expect(
            try notes("fbnic", [(15, narrow)])
                == ["flow rule 15 also matches part of the flow, at lower precedence: \(text)"])
        #expect(
            try notes("fbnic", [(14, narrow)])
                == ["flow rule 14 takes precedence and leads part of the flow elsewhere: \(text)"])
        for driver in ["bnxt_en", nil] {
            #expect(
                try notes(driver, [(0, any)]) == [
                    "flow rule 0 also matches all of the flow and leads it elsewhere if it takes "
                        + "precedence, which is not known: flow-type tcp4 action 1"
                ])
        }
    }

    @Test func whatLeadsToTheQueuesOrMatchesOtherPacketsIsNoConflict() throws {
        var toContext = FlowRule(isIPv6: false, source: [1, 2, 3, 4], target: .context(2))
        #expect(try notes("gve", [(0, toContext)]).isEmpty)
        toContext.target = .context(0)
        #expect(try notes("gve", [(0, toContext)]).count == 1)
        // A context that does not exist.
        toContext.target = .context(9)
        #expect(try notes("gve", [(0, toContext)]).count == 1)
        #expect(
            try notes("gve", [(0, FlowRule(isIPv6: false, destinationPort: 22, target: .queue(1)))])
                .isEmpty)
        #expect(try notes("gve", [(0, FlowRule(isIPv6: true, target: .queue(1)))]).isEmpty)
    }

    @Test func droppingAndOtherFunctionsLeadElsewhere() throws {
        var snapshot = try snapshot("gve", [])
        for cookie in [.max, .max - 1, 3 << 32 | 7] as [UInt64] {
            var bytes = try FlowSpec.encode(FlowRule(isIPv6: false), location: 4)
            bytes.store(cookie, at: FlowSpec.ringCookie)
            for flags in [0, FlowSpec.rssFlag] {
                bytes.store(FlowSpec.tcp4 | flags, at: FlowSpec.type)
                snapshot.rules = [try #require(InstalledRule(specification: bytes, context: 2))]
                #expect(
                    RuleConflict.all(with: wide, at: 5, in: snapshot, queues: [7]).map(\.winner)
                        == [.other])
            }
        }
        // An offset of 1 to a context's queue.
        var bytes = try FlowSpec.encode(FlowRule(isIPv6: false, target: .context(2)), location: 4)
        bytes.store(UInt64(1), at: FlowSpec.ringCookie)
        snapshot.rules = [try #require(InstalledRule(specification: bytes, context: 2))]
        #expect(RuleConflict.all(with: wide, at: 5, in: snapshot, queues: [7]).count == 1)
        #expect(RuleConflict.all(with: wide, at: 5, in: snapshot, queues: [7, 8]).isEmpty)
    }

    /// A user's rule that serves is compared with others at its own location.
    @Test func aRuleThatIsThereIsHeldAgainstOthersToo() throws {
        var narrow = wide
        narrow.source = [192, 0, 2, 2]
        narrow.target = .queue(1)
        let rules = [(0, narrow), (4, wide.aimed(at: .queue(7)))] as [(UInt32, FlowRule)]
        let text = "flow-type tcp4 src-ip 192.0.2.2 dst-port 5201 action 1"
        #expect(
            try notes("gve", rules)
                == ["flow rule 0 takes precedence and leads part of the flow elsewhere: \(text)"])
    }

    /// The reported winner is the rule that the NIC applies to a packet that both match.
    @Test func theWinnerIsTheOneThatTheNICObeys() throws {
        var seen: Set<String> = []
        for (driver, precedence) in [
            ("gve", RulePrecedence.lowestLocation), ("mlx5_core", .mostFields),
            ("fbnic", .lowestLocation),
        ] {
            for seed in 1...800 as ClosedRange<UInt64> {
                var random = SeededGenerator(seed: seed)
                func rule(_ target: RuleTarget) -> FlowRule {
                    FlowRule(
                        isIPv6: false, source: Bool.random(using: &random) ? [1, 1, 1, 1] : nil,
                        destination: Bool.random(using: &random) ? [2, 2, 2, 2] : nil,
                        sourcePort: Bool.random(using: &random) ? 9 : nil,
                        destinationPort: UInt16.random(in: 80...81, using: &random), target: target)
                }
                let other = rule(.queue(1))
                let wanted = rule(.queue(7))
                let taken = UInt32.random(in: 0..<16, using: &random)
                let before = try snapshot(driver, [(taken, other)])
                let nic = SimulatedNIC(before, defaultSplit: .on, isSplitExplicit: true)
                nic.precedence = precedence
                nic.replacesRules = true
                var places = RuleLocationPrediction(
                    try #require(before.ruleTable), driver: driver)
                let next = places.next()
                let predicted = try #require(next)
                let table = try nic.ruleTable()
                let place = try #require(try table?.place())
                let location = try nic.insert(wanted, at: place)
                #expect(location == predicted)
                let packet = FlowRule(
                    isIPv6: false, source: [1, 1, 1, 1], destination: [2, 2, 2, 2], sourcePort: 9,
                    destinationPort: wanted.destinationPort)
                let conflicts = RuleConflict.all(
                    with: wanted, at: predicted, in: before, queues: [7])
                #expect(conflicts.isEmpty == (other.destinationPort != wanted.destinationPort))
                guard let conflict = conflicts.first, conflict.winner != .unknown else { continue }
                let queue = nic.rule(obeyedBy: packet)?.queue
                #expect(queue == (conflict.winner == .wanted ? 7 : 1), "\(driver), seed \(seed)")
                seen.insert("\(driver) \(conflict.winner)")
            }
        }
        #expect(seen.count == 6)
    }

    @Test func whatLedPayloadElsewhereIsFound() throws {
        let ours = SteeringChange.PlacedRule(rule: wide.aimed(at: .queue(7)), location: 1)
        func likeliestConflict(_ driver: String, _ others: [(UInt32, FlowRule)]) throws -> UInt32? {
            let rules = [(ours.location, ours.rule)] + others
            return RuleConflict.likeliestConflict(
                against: [ours], in: try snapshot(driver, rules), queues: [7])?.other.location
        }
        let any = FlowRule(isIPv6: false, target: .queue(2))
        var narrow = wide
        narrow.source = [192, 0, 2, 2]
        narrow.target = .queue(2)
        #expect(try likeliestConflict("gve", []) == nil)
        #expect(try likeliestConflict("gve", [(0, any)]) == 0)
        #expect(try likeliestConflict("gve", [(2, any)]) == nil)
        #expect(try likeliestConflict("mlx5_core", [(0, any), (2, narrow)]) == 2)
        // A rule that takes all packets is likelier than one that takes part, and certain
        // precedence is likelier than possible precedence.
        #expect(try likeliestConflict("bnxt_en", [(0, narrow), (2, any)]) == 2)
        #expect(
            try likeliestConflict("mlx5_core", [(0, wide.aimed(at: .queue(2))), (3, narrow)]) == 3)
    }

    @Test func acceleratedSteeringIsNotedWhereItWorks() throws {
        func notes(_ driver: String, isActive: Bool) throws -> [String] {
            var snapshot = try snapshot(driver, [])
            snapshot.ntuple = FeatureState(isActive: isActive, isChangeable: true)
            snapshot.acceleratedQueues = [3, 7]
            return try SteeringPlan(
                for: SteeringRequest(queues: .list([7]), flows: [], sharesContexts: true),
                on: snapshot, interface: "eth1"
            ).notes
        }
        let note =
            "accelerated RFS may lead other flows to queue 7; "
            + "echo 0 > /sys/class/net/eth1/queues/rx-7/rps_flow_cnt prevents that"
        #expect(try notes("mlx5_core", isActive: true) == [note])
        #expect(try notes("mlx5_core", isActive: false).isEmpty)
        #expect(try notes("bnxt_en", isActive: true) == [note])
    }

    /// For mlx5 the feature is accelerated RFS.
    @Test func mlx5NeedsNoFeatureForRules() throws {
        var snapshot = try snapshot("mlx5_core", [(2, wide.aimed(at: .queue(7)))])
        snapshot.neededGRO = FeatureState(isActive: true, isChangeable: true)
        snapshot.ntuple = FeatureState(isActive: false, isChangeable: true)
        func changes(_ request: SteeringFlow) throws -> [SteeringChange] {
            try SteeringPlan(
                for: SteeringRequest(queues: .list([7]), flows: [request], sharesContexts: true),
                on: snapshot,
                interface: "eth1"
            ).changes.filter {
                switch $0 {
                case .feature, .addRule: true
                default: false
                }
            }
        }
        let other = FlowRule(isIPv6: false, destinationPort: 80)
        #expect(
            try changes(SteeringFlow(families: [[other]]))
                == [.addRule([other.aimed(at: .queue(7))], installed: nil)])
        // A user's rule with the same effect counts.
        #expect(try changes(SteeringFlow(families: [[wide]])).isEmpty)
        snapshot.ntuple = nil
        #expect(try changes(SteeringFlow(families: [[other]])).count == 1)
        snapshot.driver = "gve"
        #expect(throws: DevmemError.self) { try changes(SteeringFlow(families: [[other]])) }
    }
}

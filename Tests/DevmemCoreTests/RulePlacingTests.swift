import Logging
import SystemPackage
import Testing

@testable import DevmemCore

/// Rules are added as each driver accepts them, and none is lost.
@Suite struct RulePlacingTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let wide = FlowRule(isIPv6: false, destinationPort: 80)

    private func makeNIC(
        capacity: UInt32? = 16, choosesLocation: Bool = false, taken: [UInt32] = []
    ) throws -> SimulatedNIC {
        let nic = SimulatedNIC(
            NICSnapshot(
                rings: RingSettings(headerSplit: .on, splitThreshold: 0),
                receiveQueues: (0..<4).map { QueueInfo(id: $0, type: .rx) },
                contexts: [RSSContext(id: 0, indirection: [0, 1])],
                ntuple: FeatureState(isActive: true, isChangeable: true),
                ruleTable: FlowRuleTable(
                    locations: [], capacity: capacity, choosesLocation: choosesLocation)),
            defaultSplit: .on, isSplitExplicit: true)
        for location in taken { try nic.put(foreign(Int(location)), at: location) }
        return nic
    }

    private func foreign(_ number: Int) -> FlowRule {
        FlowRule(
            isIPv6: false, destinationPort: UInt16(1000 + number), target: .queue(1))
    }

    /// Rules for the same flow, the narrowest first.
    private var alternatives: [FlowRule] {
        let peer = FlowRule(isIPv6: false, source: [192, 0, 2, 2], destinationPort: 80)
        return [peer, wide].map { $0.aimed(at: .queue(3)) }
    }

    private func apply(_ alternatives: [FlowRule], to nic: SimulatedNIC) throws -> PlacedRule? {
        let plan = SteeringPlan(
            queues: [3], changes: [.addRule(alternatives, installed: nil)])
        var journal = SteeringJournal.sample(plan: plan, on: try nic.snapshot())
        try journal.apply(to: nic, logger: logger) { _ in }
        guard case .addRule(_, let placed) = journal.changes[0] else { return nil }
        return placed
    }

    private typealias PlacedRule = SteeringChange.PlacedRule

    private func refusal(_ nic: SimulatedNIC, _ rules: [FlowRule]? = nil) throws -> DevmemError {
        let before = try nic.snapshot()
        let error = #expect(throws: DevmemError.self) {
            try apply(rules ?? alternatives, to: nic)
        }
        #expect(try nic.snapshot() == before)
        return try #require(error)
    }

    /// Another process occupies the location after it was listed and before the insertion: its rule
    /// stays, even if the driver would replace it.
    @Test func anOccupiedPlaceIsNeverReplaced() throws {
        for replaces in [false, true] {
            let nic = try makeNIC(taken: [0, 2])
            nic.replacesRules = replaces
            nic.hidden = [2, 1]
            try nic.put(foreign(9), at: 1)
            let placed = try #require(try apply(alternatives, to: nic))
            #expect(placed.location == 3)
            #expect(nic.installed[1]?.rule == foreign(9) && nic.installed[2]?.rule == foreign(2))
        }
    }

    /// Another process overwrites our rule right after: its rule stays, and ours goes elsewhere.
    @Test func aRuleThatWasReplacedIsAddedAgainElsewhere() throws {
        let nic = try makeNIC()
        nic.replacesRules = true
        var thefts = 2
        nic.afterInserting = { [unowned nic] location throws(DevmemError) in
            guard thefts > 0 else { return }
            thefts -= 1
            let port = UInt16(7 + location)
            try nic.put(
                FlowRule(isIPv6: true, destinationPort: port, target: .queue(1)), at: location)
        }
        let placed = try #require(try apply(alternatives, to: nic))
        #expect(placed.location == 2 && nic.installed.count == 3)
        // The attempts are limited.
        thefts = .max
        let endless = #expect(throws: DevmemError.self) { try apply(alternatives, to: nic) }
        #expect(endless?.errno == .resourceTemporarilyUnavailable)
    }

    @Test func asManyPlacesAreTriedAsItSays() throws {
        let nic = try makeNIC()
        nic.replacesRules = true
        var tries: UInt16 = 0
        nic.afterInserting = { [unowned nic] location throws(DevmemError) in
            tries += 1
            try nic.put(
                FlowRule(isIPv6: true, destinationPort: tries, target: .queue(1)), at: location)
        }
        #expect(throws: DevmemError.self) { try apply(alternatives, to: nic) }
        #expect(tries == 8 && nic.installed.count == 8)
    }

    /// The driver alters rules, and meanwhile another process has put its own at the first place.
    @Test func anothersRuleIsNotDeletedForOneThatTheDriverAltered() throws {
        let nic = try makeNIC()
        nic.alteration = { _ in FlowRule(isIPv6: true, destinationPort: 9, target: .queue(1)) }
        nic.afterInserting = { [unowned nic] location throws(DevmemError) in
            if location == 1 { try nic.put(self.foreign(5), at: 0) }
        }
        let error = #expect(throws: DevmemError.self) { try apply(alternatives, to: nic) }
        #expect(error?.kind == .unsupported)
        #expect(nic.installed.mapValues(\.rule) == [0: foreign(5)])
    }

    @Test func theFirstFreePlaceGoesBeforeOthers() throws {
        #expect(try apply(alternatives, to: makeNIC(taken: [1, 2]))?.location == 0)
        #expect(try apply(alternatives, to: makeNIC(taken: [0, 1]))?.location == 2)
        #expect(
            try apply(alternatives, to: makeNIC(choosesLocation: true, taken: [15]))?.location == 14
        )
    }

    /// A wider rule is tried only if the error concerns the rule's fields.
    @Test func otherRefusalsMakeNoWiderRule() throws {
        for errno in [
            .fileExists, .noSpace, .noMemory, .resourceBusy, .resourceTemporarilyUnavailable,
            .notPermitted, .operationNotSupportedByDevice, .networkDown, .ioError,
            .permissionDenied,
            .timedOut,
        ] as [Errno] {
            let nic = try makeNIC(choosesLocation: true)
            var asked = 0
            nic.beforeInserting = { asked += 1 }
            nic.ruleRefusal = errno
            #expect(try refusal(nic).errno == errno)
            #expect(asked == 1)
        }
        for errno in [.invalidArgument, .notSupportedOnSocket] as [Errno] {
            let nic = try makeNIC(choosesLocation: true)
            var asked = 0
            nic.beforeInserting = { asked += 1 }
            nic.ruleRefusal = errno
            #expect(try refusal(nic).errno == errno)
            #expect(asked == 2)
        }
        let nic = try makeNIC()
        nic.refusesSources = true
        #expect(try apply(alternatives, to: nic)?.rule == wide.aimed(at: .queue(3)))
    }

    /// A wider rule would lose against an existing rule of the same match.
    @Test func aRuleOfTheSameMatchIsNamed() throws {
        let nic = try makeNIC(choosesLocation: true)
        nic.refusesSameMatch = true
        try nic.put(alternatives[0].aimed(at: .queue(1)), at: 5)
        let error = try refusal(nic)
        #expect(
            error.message
                == "flow rule 5 has the same match: flow-type tcp4 src-ip 192.0.2.2 dst-port 80 action 1"
        )
        #expect(error.advice?.description.contains("delete 5") == false)
    }

    @Test func aNICThatTakesWholeConnectionsOnlySaysWhatToDo() throws {
        let nic = try makeNIC()
        nic.needsAllFields = true
        var toOne = wide
        toOne.destination = [192, 0, 2, 1]
        let error = try refusal(nic, [toOne, wide])
        #expect(
            error.message
                == "the NIC supports no rule without a source address, a source port "
                + "(flow-type tcp4 dst-ip 192.0.2.1 dst-port 80)")
        let advice: Advice = "name the peer: \(.from) ADDR:PORT, or \(.flow) DST:PORT,SRC:PORT"
        #expect(error.advice?.text() == advice.text())
        #expect(
            try refusal(nic, [wide]).advice?.description.hasPrefix("listen at one address, and")
                == true)
        // The request that it advises.
        let peer = try #require(IPAddress(bytes: [192, 0, 2, 2]))
        let listen = Endpoint(
            address: try #require(IPAddress(bytes: [192, 0, 2, 1])), port: 80)
        let flow = SteeringFlow(to: listen, from: peer, port: 9)
        let placed = try #require(
            try apply(flow.families[0].map { $0.aimed(at: .queue(3)) }, to: nic))
        #expect(placed.rule.missingFields.isEmpty)
        nic.ruleRefusal = .invalidArgument
        #expect(
            try refusal(nic, [placed.rule]).message?.contains("though it has every field") == true
        )
    }

    /// The plan considers the narrowest rule; a wider one may conflict with more.
    @Test func aWiderRuleIsHeldAgainstOthersToo() throws {
        let nic = try makeNIC()
        nic.driver = "gve"
        nic.refusesSources = true
        try nic.put(
            FlowRule(isIPv6: false, source: [192, 0, 2, 9], target: .queue(1)), at: 0)
        let before = try nic.snapshot()
        let plan = try SteeringPlan(
            for: SteeringRequest(
                queues: .list([3]), flows: [SteeringFlow(families: [alternatives])]),
            on: before, interface: nic.name)
        #expect(plan.notes.isEmpty)
        var journal = SteeringJournal.sample(plan: plan, on: before)
        try journal.apply(to: nic, logger: logger) { _ in }
        #expect(
            plan.notes(with: journal.changes, on: before) == [
                "flow rule 0 takes precedence and leads part of the flow elsewhere: "
                    + "flow-type tcp4 src-ip 192.0.2.9 action 1"
            ])
    }

    @Test func aFullTableIsReportedAsSuch() throws {
        let nic = try makeNIC(capacity: 2, choosesLocation: true, taken: [0, 1])
        #expect(try refusal(nic).errno == .noSpace)
        let fixed = try makeNIC(capacity: 2, taken: [0, 1])
        fixed.reportsSizeWhenFull = true
        let error = try refusal(fixed)
        #expect(error.message == "its table of flow rules is full")
        #expect(error.advice == "ethtool -n sim0 lists them; delete those not needed")
    }

    @Test func aFeatureThatIsOffIsReportedToThePrivileged() throws {
        let nic = try makeNIC()
        nic.feature = FeatureState(isActive: false, isChangeable: true)
        var refusal = RuleRefusal(
            name: "sim0", tried: alternatives,
            error: DevmemError(
                .system, .init(.addFlowRule, "add a flow rule to sim0"), errno: .notPermitted,
                advice: needsNetAdmin))
        refusal.isPrivileged = true
        #expect(refusal.explained(on: nic).advice == "ethtool -K sim0 ntuple on")
        refusal.isPrivileged = false
        #expect(refusal.explained(on: nic).advice == needsNetAdmin)
    }

    /// gve directs a rule with a context to queue 0; such a rule must not stay.
    @Test func aRuleThatTheDriverMadeAnotherOfIsRemoved() throws {
        let nic = try makeNIC()
        nic.forgetsContexts = true
        let error = try refusal(nic, [wide.aimed(at: .context(1))])
        #expect(
            error.message
                == "the driver installed a different rule: flow-type tcp4 dst-port 80 action 0")
    }

    /// How drivers may alter a rule: fewer fields, another field, another queue.
    private var alterations: [(FlowRule) -> FlowRule] {
        [
            { FlowRule(isIPv6: $0.isIPv6, destinationPort: nil, target: $0.target) },
            { FlowRule(isIPv6: $0.isIPv6, destinationPort: 81, target: $0.target) },
            { $0.aimed(at: .queue(0)) },
        ]
    }

    @Test func aRuleThatTheDriverAltersDoesNotStay() throws {
        for alteration in alterations {
            for choosesLocation in [false, true] {
                let nic = try makeNIC(choosesLocation: choosesLocation, taken: [2])
                nic.alteration = alteration
                let error = try refusal(nic)
                #expect(error.message?.hasPrefix("the driver installed a different rule") == true)
            }
        }
        // Where the driver chooses the location, no other process's rule can be there. Elsewhere
        // the first finding may be another process's rule, but not the second.
        for choosesLocation in [true, false] {
            let nic = try makeNIC(choosesLocation: choosesLocation)
            nic.alteration = { _ in FlowRule(isIPv6: true, destinationPort: 9, target: .queue(1)) }
            let error = try refusal(nic)
            #expect(error.message?.hasPrefix("the driver installed a different rule") == true)
        }
    }

    /// These errors would, on adding, allow a wider rule.
    @Test func aRuleThatCannotBeReadBackDoesNotStay() throws {
        for errno in [.ioError, .invalidArgument, .notSupportedOnSocket] as [Errno] {
            let nic = try makeNIC(choosesLocation: true)
            nic.ruleReadRefusal = errno
            let error = try refusal(nic)
            #expect(error.operation.text == "read flow rule 15 of sim0 back")
            #expect(error.errno == nil && error.message?.isEmpty == false)
        }
    }

    /// A rule that the driver alters and does not delete stays in the journal until it is gone.
    @Test func aRuleThatCannotBeDeletedIsNotForgotten() throws {
        for alteration in alterations {
            let nic = try makeNIC()
            let before = try nic.snapshot()
            nic.alteration = alteration
            nic.deletionRefusal = .ioError
            let plan = SteeringPlan(
                queues: [3], changes: [.addRule(alternatives, installed: nil)])
            var journal = SteeringJournal.sample(plan: plan, on: before)
            var saved = journal
            let error = #expect(throws: DevmemError.self) {
                try journal.apply(to: nic, logger: logger) { saved = $0 }
            }
            #expect(error?.operation.text == "delete flow rule 0 of sim0")
            #expect(saved == journal)
            #expect(journal.reverse(on: nic, logger: logger) { saved = $0 }.failure != nil)
            // Later, another process restores from the saved journal.
            saved = try JournalStore.decode(JournalStore.encode(saved), path: "test")
            nic.deletionRefusal = nil
            let result = saved.reverse(on: nic, logger: logger) { _ in }
            #expect(result.restored == ["flow rule 0 deleted"] && result.failure == nil)
            #expect(try nic.snapshot() == before)
        }
    }

    /// A process dies after the driver accepted a rule and before it read the rule back: the
    /// location is already saved.
    @Test func anAlteredRuleOfADeadProcessIsFound() throws {
        let nic = try makeNIC()
        let before = try nic.snapshot()
        let plan = SteeringPlan(queues: [3], changes: [.addRule(alternatives, installed: nil)])
        var journal = SteeringJournal.sample(plan: plan, on: before)
        nic.alteration = { FlowRule(isIPv6: $0.isIPv6, target: $0.target) }
        var written: SteeringJournal?
        #expect(throws: DevmemError.self) {
            try journal.apply(to: nic, logger: logger) { saved throws(DevmemError) in
                written = saved
                if nic.installed.count > 0 { nic.isDead = true }
            }
        }
        nic.isDead = false
        #expect(nic.installed.count == 1)
        var left = try JournalStore.decode(
            JournalStore.encode(try #require(written)), path: "test")
        let result = left.reverse(on: nic, logger: logger) { _ in }
        #expect(result.restored == ["flow rule 0 deleted"])
        #expect(try nic.snapshot() == before)
    }

    /// Until the acceptance is saved, only an equal rule counts as ours: another rule to the same
    /// queue may belong to anyone.
    @Test func onlyTheSameRuleIsTakenForOneThatWasNotNoted() throws {
        let nic = try makeNIC()
        let plan = SteeringPlan(queues: [3], changes: [.addRule(alternatives, installed: nil)])
        var journal = SteeringJournal.sample(plan: plan, on: try nic.snapshot())
        journal.begun = 1
        try nic.put(FlowRule(isIPv6: false, target: .queue(3)), at: 4)
        try nic.put(alternatives[0].aimed(at: .queue(1)), at: 5)
        var other = journal
        #expect(other.reverse(on: nic, logger: logger) { _ in }.restored.isEmpty)
        #expect(nic.installed.count == 2)
        try nic.put(alternatives[1], at: 6)
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.restored == ["flow rule 6 deleted"])
        #expect(nic.installed.keys.sorted() == [4, 5])
    }

    /// A refused rule is not on the NIC, so an equal one belongs to another process.
    @Test func nothingIsDeletedForARuleThatWasRefused() throws {
        let nic = try makeNIC(choosesLocation: true)
        nic.refusesSameMatch = true
        let plan = SteeringPlan(queues: [3], changes: [.addRule(alternatives, installed: nil)])
        var journal = SteeringJournal.sample(plan: plan, on: try nic.snapshot())
        // Another process adds it after the plan was made.
        try nic.put(alternatives[0], at: 2)
        #expect(throws: DevmemError.self) { try journal.apply(to: nic, logger: logger) { _ in } }
        #expect(journal.reverse(on: nic, logger: logger) { _ in }.failure == nil)
        #expect(nic.installed.keys.sorted() == [2])
    }

    /// If the acceptance cannot be saved, the rule is deleted.
    @Test func aRuleThatCannotBeNotedDoesNotStay() throws {
        let nic = try makeNIC()
        let plan = SteeringPlan(queues: [3], changes: [.addRule(alternatives, installed: nil)])
        var journal = SteeringJournal.sample(plan: plan, on: try nic.snapshot())
        let error = #expect(throws: DevmemError.self) {
            try journal.apply(to: nic, logger: logger) { _ throws(DevmemError) in
                guard nic.installed.isEmpty else {
                    throw DevmemError(.system, call: "write", errno: .noSpace)
                }
            }
        }
        #expect(error?.errno == .noSpace && nic.installed.isEmpty)
    }

    @Test func aRuleThatGoesWhileItIsDeletedIsNoFailure() throws {
        let nic = try makeNIC()
        #expect(throws: Never.self) { try nic.removeRule(at: 4) }
        nic.missingRuleError = .invalidArgument
        #expect(throws: Never.self) { try nic.removeRule(at: 4) }
        nic.missingRuleError = .ioError
        #expect(throws: DevmemError.self) { try nic.removeRule(at: 4) }
    }
}

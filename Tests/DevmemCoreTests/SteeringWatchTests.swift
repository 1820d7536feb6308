import Logging
import SystemPackage
import Testing

@testable import DevmemCore

/// What a NIC loses while memory is bound to it, and how it is steered again.
@Suite struct SteeringWatchTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func scene(
        spread: FlowSpread = .roundRobin, isActive: Bool = false
    ) throws -> (SimulatedNIC, SteeringJournal) {
        let foreign = try #require(
            InstalledRule(
                specification: FlowSpec.encode(
                    FlowRule(isIPv6: false, destinationPort: 22), location: 0), context: 0))
        let snapshot = NICSnapshot(
            rings: RingSettings(headerSplit: .off, splitThreshold: 256),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) },
            contexts: [RSSContext(id: 0, indirection: defaultIndirection(slots: 64, queues: 8))],
            ntuple: FeatureState(isActive: isActive, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [0], capacity: 16, choosesLocation: false),
            rules: [foreign])
        let nic = SimulatedNIC(snapshot, defaultSplit: .off, isSplitExplicit: false)
        let listen = Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 5201)
        let plan = try SteeringPlan(
            for: SteeringRequest(
                queues: .last(2), flows: [SteeringFlow(to: listen)], spread: spread),
            on: snapshot, interface: nic.name)
        var journal = SteeringJournal.sample(plan: plan, on: snapshot)
        try journal.apply(to: nic, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        {
            _ in
        }
        return (nic, journal)
    }

    private func losses(of journal: SteeringJournal, on nic: SimulatedNIC) throws -> [SteeringLoss]
    {
        journal.losses(in: try SteeringState(of: nic, for: journal))
    }

    /// Restores everything, and expects the former NIC.
    private func expectRestored(
        _ journal: SteeringJournal, on nic: SimulatedNIC, _ comment: Comment
    ) throws {
        var saved = journal
        let result = saved.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil, comment)
        #expect(nic.installed.keys.sorted().filter { $0 != 0 }.isEmpty, comment)
        #expect(try nic.indirection() == defaultIndirection(slots: 64, queues: 8), comment)
        #expect(try nic.rings().headerSplit == .off && nic.rings().splitThreshold == 256, comment)
        #expect(nic.others.isEmpty, comment)
    }

    @Test func nothingIsLostAtFirst() throws {
        for spread in FlowSpread.allCases {
            let (nic, journal) = try Self.scene(spread: spread)
            #expect(try losses(of: journal, on: nic).isEmpty)
        }
    }

    @Test func saysWhatIsGone() throws {
        let (nic, journal) = try Self.scene()
        let location = try #require(nic.installed.keys.max())
        nic.installed[location] = nil
        #expect(
            try losses(of: journal, on: nic).map(\.text) == [
                "flow rule 1 is gone: flow-type tcp4 dst-ip 192.0.2.1 dst-port 5201 action 6"
            ])
        nic.main?.indirection = defaultIndirection(slots: 64, queues: 8)
        nic.threshold = 100
        nic.explicitSplit = nil
        nic.feature?.isActive = false
        #expect(
            try losses(of: journal, on: nic).map(\.text) == [
                "tcp-data-split is off but was set to on",
                "hds-thresh is 100 but was set to 0",
                "the RSS table leads other traffic to queue 6-7 again",
                "rx-ntuple-filter is off but was turned on",
                "flow rule 1 is gone: flow-type tcp4 dst-ip 192.0.2.1 dst-port 5201 action 6",
            ])
    }

    /// The list counts, not what can still be read.
    @Test func aRuleThatIsOnlyRememberedIsGone() throws {
        let (nic, journal) = try Self.scene()
        nic.remembered = nic.installed
        nic.installed = [:]
        #expect(try losses(of: journal, on: nic).map(\.change) == [journal.changes.count - 1])
    }

    @Test func saysThatAnotherRuleIsInItsPlace() throws {
        let (nic, journal) = try Self.scene()
        let other = FlowRule(isIPv6: false, destinationPort: 80, target: .queue(2))
        nic.installed[1] = InstalledRule(
            specification: try FlowSpec.encode(other, location: 1), context: 0)
        #expect(
            try losses(of: journal, on: nic).map(\.text) == [
                "flow rule 1 was replaced by flow-type tcp4 dst-port 80 action 2, it was "
                    + "flow-type tcp4 dst-ip 192.0.2.1 dst-port 5201 action 6"
            ])
    }

    /// A table set by someone else is no loss while it leaves out the queues.
    @Test func anothersTableIsNoLoss() throws {
        let (nic, journal) = try Self.scene()
        nic.main?.indirection = defaultIndirection(slots: 128, queues: 4)
        #expect(try losses(of: journal, on: nic).isEmpty)
    }

    @Test func changesNeverBegunAreNoLoss() throws {
        var (nic, journal) = try Self.scene()
        journal.begun = 0
        nic.installed = [:]
        #expect(try losses(of: journal, on: nic).isEmpty)
        journal.begun = -7
        #expect(try losses(of: journal, on: nic).isEmpty)
        journal.begun = .max
        #expect(try !losses(of: journal, on: nic).isEmpty)
    }

    /// Removes everything that a reset of the device can remove.
    private func wipe(_ nic: SimulatedNIC) {
        nic.installed = [:]
        nic.feature?.isActive = false
        nic.main?.indirection = defaultIndirection(slots: 64, queues: 8)
        nic.threshold = 100
        nic.explicitSplit = nil
        nic.others = [:]
    }

    @Test func steersAgain() throws {
        for spread in FlowSpread.allCases {
            var (nic, journal) = try Self.scene(spread: spread)
            wipe(nic)
            for loss in try losses(of: journal, on: nic) {
                try journal.renew(loss, on: nic, logger: logger) { _ in }
            }
            #expect(try losses(of: journal, on: nic).isEmpty)
            #expect(nic.installed.count == 1)
            nic.threshold = 0
            var saved = journal
            #expect(saved.reverse(on: nic, logger: logger) { _ in }.failure == nil)
            #expect(nic.installed.isEmpty && nic.others.isEmpty)
        }
    }

    /// The rule that led to it leads nowhere; it goes, unless it is another's by now.
    @Test(arguments: [false, true]) func aLostContextTakesItsRuleAlong(isReplaced: Bool) throws {
        var (nic, journal) = try Self.scene(spread: .rssContext)
        nic.others = [:]
        let other = FlowRule(isIPv6: false, destinationPort: 80, target: .queue(2))
        if isReplaced { try nic.put(other, at: 1) }
        let loss = try #require(
            try losses(of: journal, on: nic).first { $0.text.contains("context") })
        try journal.renew(loss, on: nic, logger: logger) { _ in }
        #expect(nic.installed.count == (isReplaced ? 3 : 2))
        _ = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(nic.installed.count == (isReplaced ? 2 : 1))
        #expect(!isReplaced || nic.installed[1]?.rule == other)
    }

    /// The location may be another's now.
    @Test func findsAnotherPlaceForARule() throws {
        var (nic, journal) = try Self.scene()
        let other = FlowRule(isIPv6: false, destinationPort: 80, target: .queue(2))
        nic.installed[1] = InstalledRule(
            specification: try FlowSpec.encode(other, location: 1), context: 0)
        let loss = try #require(try losses(of: journal, on: nic).first)
        try journal.renew(loss, on: nic, logger: logger) { _ in }
        #expect(nic.installed.keys.sorted() == [0, 1, 2])
        _ = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(nic.installed.keys.sorted() == [0, 1])
    }

    /// The restored table is the one that someone else set meanwhile, not the one before it.
    @Test func anothersTableComesBack() throws {
        var (nic, journal) = try Self.scene()
        let theirs = (0..<64).map { UInt32($0 % 7) }
        nic.main?.indirection = theirs
        let loss = try #require(try losses(of: journal, on: nic).first)
        try journal.renew(loss, on: nic, logger: logger) { _ in }
        #expect(try losses(of: journal, on: nic).isEmpty)
        _ = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(try nic.indirection() == theirs)
    }

    @Test func aRefusalLeavesTheJournalTrue() throws {
        for spread in FlowSpread.allCases {
            let (nic, journal) = try Self.scene(spread: spread)
            wipe(nic)
            for loss in try losses(of: journal, on: nic) {
                var attempt = journal
                nic.failing = nic.operations
                // Where a rule is refused, a wider one may be accepted.
                try? attempt.renew(loss, on: nic, logger: logger) { _ in }
                #expect(
                    try losses(of: attempt, on: nic).contains { $0.text == loss.text }
                        || loss.text.hasPrefix("flow rule"))
                nic.failing = nil
                _ = attempt.reverse(on: nic, logger: logger) { _ in }
                #expect(nic.installed.isEmpty && nic.others.isEmpty, "\(spread) \(loss.text)")
            }
        }
    }

    /// A location that another's rule has left becomes ours, and is freed again.
    @Test func aPlaceThatAnotherHasLeftIsLeftAgain() throws {
        for moment in 0..<40 {
            var (nic, journal) = try Self.scene(isActive: true)
            nic.installed = [:]
            let loss = try #require(try losses(of: journal, on: nic).first)
            var saved = journal
            nic.deadly = 2 * nic.operations + moment
            try? journal.renew(loss, on: nic, logger: logger) { entry throws(DevmemError) in
                try nic.live()
                saved = entry
            }
            nic.revive()
            #expect(saved.reverse(on: nic, logger: logger) { _ in }.failure == nil)
            #expect(nic.installed.isEmpty, "moment \(moment)")
        }
    }

    /// After a death at any moment, the journal saved last suffices to undo everything.
    @Test func survivesDeathAtEachMoment() throws {
        for spread in FlowSpread.allCases {
            for moment in 0..<60 {
                var (nic, journal) = try Self.scene(spread: spread)
                let foreign = nic.installed[0]
                wipe(nic)
                nic.installed[0] = foreign
                let lost = try losses(of: journal, on: nic)
                var saved = journal
                nic.deadly = 2 * nic.operations + moment
                for loss in lost {
                    try? journal.renew(loss, on: nic, logger: logger) {
                        entry throws(DevmemError) in
                        try nic.live()
                        saved = entry
                    }
                }
                nic.revive()
                nic.threshold = 0
                try expectRestored(saved, on: nic, "\(spread), moment \(moment)")
            }
        }
    }
}

import Logging
import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct SteeringTransactionTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Returns the journal as another process would read it.
    private func reread(_ journal: SteeringJournal) throws(DevmemError) -> SteeringJournal {
        try JournalStore.decode(JournalStore.encode(journal), path: "test")
    }

    @Test func restoringUndoesEverything() throws {
        var accepted = 0
        for seed in 1...4_000 as ClosedRange<UInt64> {
            let scene = try SteeringScene(seed: seed)
            let before = try scene.nic.snapshot()
            let setting = scene.nic.explicitSplit
            guard var journal = try scene.journal() else { continue }
            accepted += 1
            try journal.apply(to: scene.nic, logger: logger) { _ in }
            let steered = try scene.nic.snapshot()
            check(steered, against: before, taken: journal.queues, seed: seed, scene.request)
            let result = journal.reverse(on: scene.nic, logger: logger) { _ in }
            #expect(result.failure == nil && result.leftAlone.isEmpty, "seed \(seed)")
            #expect(try scene.nic.snapshot() == before, "seed \(seed)")
            #expect(scene.nic.explicitSplit == setting, "seed \(seed)")
            #expect(journal.changes.isEmpty)
            // A table that was the default is the kernel's default again.
            if before.indirection
                == defaultIndirection(
                    slots: before.indirection.count, queues: before.receiveQueues.count)
            {
                #expect(!scene.nic.isTableConfigured, "seed \(seed)")
            }
        }
        #expect(accepted >= 2_000)
    }

    private func check(
        _ steered: NICSnapshot, against before: NICSnapshot, taken: [UInt32], seed: UInt64,
        _ request: SteeringRequest
    ) {
        let queues = Set(taken)
        #expect(steered.rings.headerSplit == .on && (steered.rings.splitThreshold ?? 0) == 0)
        #expect(queues.isDisjoint(with: steered.indirection), "seed \(seed)")
        for (old, new) in zip(before.indirection, steered.indirection)
        where request.table == .minimal && !queues.contains(old) {
            #expect(old == new, "seed \(seed)")
        }
        if queues.isDisjoint(with: before.indirection) {
            #expect(steered.indirection == before.indirection)
        }
        #expect(steered.rings.sizes == before.rings.sizes && steered.channels == before.channels)
        #expect(steered.contexts.first?.key == before.contexts.first?.key)
        let known = Set(before.contexts.map(\.id))
        for context in steered.contexts where context.id != 0 {
            if known.contains(context.id) {
                #expect(before.contexts.contains(context), "seed \(seed)")
                #expect(queues.isDisjoint(with: context.indirection), "seed \(seed)")
            } else {
                #expect(queues.isSuperset(of: context.indirection), "seed \(seed)")
            }
        }
        for rule in before.rules { #expect(steered.rules.contains(rule), "seed \(seed)") }
        for rule in steered.rules where !before.rules.contains(rule) {
            #expect(
                rule.context.map { !known.contains($0) } ?? rule.queue.map(queues.contains) == true)
        }
    }

    /// A process killed at any moment leaves a journal from which another restores everything.
    @Test func deathAtAnyMomentIsRecoveredFrom() throws {
        var deaths = 0
        for seed in 1...150 as ClosedRange<UInt64> {
            for moment in 0..<200 {
                let scene = try SteeringScene(seed: seed)
                let nic = scene.nic
                let before = try nic.snapshot()
                let setting = nic.explicitSplit
                guard let journal = try scene.journal() else { break }
                nic.deadly = moment
                guard let last = try runUntilDeath(journal, nic) else { break }
                deaths += 1
                // The second process dies too, a little later.
                nic.revive()
                nic.deadly = 2 * nic.operations + moment % 7
                var latest = last
                var mending = try reread(latest)
                _ = mending.reverse(on: nic, logger: logger) { saved throws(DevmemError) in
                    try nic.live()
                    latest = saved
                }
                nic.revive()
                mending = try reread(latest)
                let result = mending.reverse(on: nic, logger: logger) { _ in }
                #expect(result.failure == nil, "seed \(seed), moment \(moment)")
                #expect(result.leftAlone.isEmpty, "seed \(seed), moment \(moment)")
                #expect(try nic.snapshot() == before, "seed \(seed), moment \(moment)")
                // A user's split is never lost; a driver's own may be restored as a user's.
                if setting == .on {
                    #expect(nic.explicitSplit == .on, "seed \(seed), moment \(moment)")
                }
            }
        }
        #expect(deaths > 1_000)
    }

    /// Applies and reverses until the process dies; returns the journal saved by then, or nil if it
    /// survived.
    private func runUntilDeath(
        _ journal: SteeringJournal, _ nic: SimulatedNIC
    ) throws -> SteeringJournal? {
        var running = journal
        var safe = journal
        let save = { (saved: SteeringJournal) throws(DevmemError) in
            // Half of the deaths happen while the journal is written.
            try nic.live()
            safe = saved
        }
        do {
            try running.apply(to: nic, logger: logger, save: save)
        } catch {
            return nic.isDead ? safe : nil
        }
        _ = running.reverse(on: nic, logger: logger, save: save)
        return nic.isDead ? safe : nil
    }

    @Test func refusalOfAnyChangeLeavesAllAsBefore() throws {
        var refusals = 0
        for seed in 1...300 as ClosedRange<UInt64> {
            for number in 0..<20 {
                let scene = try SteeringScene(seed: seed)
                let before = try scene.nic.snapshot()
                guard var journal = try scene.journal() else { break }
                scene.nic.failing = number
                do {
                    try journal.apply(to: scene.nic, logger: logger) { _ in }
                    if scene.nic.operations <= number { break }
                } catch {
                    refusals += 1
                }
                scene.nic.failing = nil
                let result = journal.reverse(on: scene.nic, logger: logger) { _ in }
                #expect(result.failure == nil && result.leftAlone == [])
                #expect(try scene.nic.snapshot() == before, "seed \(seed), change \(number)")
            }
        }
        #expect(refusals > 300)
    }

    @Test func changesThatOnlySeemDoneAreFound() throws {
        var lies = 0
        for seed in 1...200 as ClosedRange<UInt64> {
            for number in 0..<12 {
                let scene = try SteeringScene(seed: seed)
                let before = try scene.nic.snapshot()
                guard var journal = try scene.journal() else { break }
                scene.nic.ignored = number
                do {
                    try journal.apply(to: scene.nic, logger: logger) { _ in }
                    // Without a previous change there is no difference.
                    if scene.nic.operations <= number { break }
                    let wasSoAlready = journal.changes.contains {
                        switch $0 {
                        case .headerSplit(.on, .on, _), .headerSplit(.off, _, true): true
                        default: false
                        }
                    }
                    #expect(wasSoAlready, "seed \(seed)")
                } catch {
                    lies += 1
                    #expect(error.message?.contains("reads back differently") == true)
                }
                scene.nic.revive()
                let result = journal.reverse(on: scene.nic, logger: logger) { _ in }
                #expect(result.failure == nil)
                #expect(try scene.nic.snapshot() == before, "seed \(seed), change \(number)")
            }
        }
        #expect(lies > 200)
    }

    /// Steers a NIC of eight queues to the last two.
    private func steered(
        spread: FlowSpread = .roundRobin
    ) throws -> (nic: SimulatedNIC, journal: SteeringJournal, before: NICSnapshot) {
        let snapshot = NICSnapshot(
            rings: RingSettings(headerSplit: .off, splitThreshold: 256, sizes: ["rx": 512]),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) },
            contexts: [RSSContext(id: 0, indirection: (0..<128).map { $0 % 8 })],
            ntuple: FeatureState(isActive: false, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [], capacity: 16, choosesLocation: false))
        let nic = SimulatedNIC(snapshot, defaultSplit: .off, isSplitExplicit: false)
        let before = try nic.snapshot()
        let flow = SteeringFlow(families: [[FlowRule(isIPv6: false, destinationPort: 80)]])
        let plan = try SteeringPlan(
            for: SteeringRequest(queues: .list([6, 7]), flows: [flow], spread: spread), on: before,
            interface: nic.name)
        var journal = SteeringJournal.sample(plan: plan, on: before)
        try journal.apply(to: nic, logger: logger) { _ in }
        return (nic, journal, before)
    }

    @Test func changesByOthersStay() throws {
        var (nic, journal, before) = try steered(spread: .rssContext)
        try nic.setRings(RingRequest(threshold: 64))
        nic.main?.indirection[3] = 0
        let rule = FlowRule(isIPv6: true, destinationPort: 443, target: .queue(1))
        nic.installed[0] = InstalledRule(
            specification: try FlowSpec.encode(rule, location: 0), context: 0)
        nic.others[1]?.indirection = [0]
        nic.sizes["rx"] = 1024
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil)
        #expect(
            result.leftAlone == [
                "flow rule 0 was replaced: flow-type tcp6 dst-port 443 action 1",
                "RSS context 1 was changed meanwhile",
                "rx-ntuple-filter stays on: flow rule 0 came meanwhile",
                "1 RSS table entries were changed meanwhile",
                "hds-thresh is 64, neither 256 nor 0",
                "the rx ring has 1024 entries, it had 512",
            ])
        let after = try nic.snapshot()
        #expect(after.rings.splitThreshold == 64 && after.rings.headerSplit == .off)
        #expect(after.rules.map(\.rule) == [rule])
        var table = before.indirection
        table[3] = 0
        #expect(after.indirection == table)
        #expect(after.ntuple?.isActive == true)
    }

    @Test func ownRuleThatStaysKeepsFlowRulesOnForTheNextTry() throws {
        var (nic, journal, before) = try steered()
        nic.failing = nic.operations
        let first = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(first.failure == SimulatedNIC.refusal && first.leftAlone.isEmpty)
        #expect(try nic.snapshot().ntuple?.isActive == true)
        nic.revive()
        let second = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(second.failure == nil && second.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    @Test func onlyBegunChangesAreUndone() throws {
        var (nic, journal, before) = try steered()
        // As if the first process had died before adding the rule, and another had added a similar
        // one.
        guard case .addRule(let rules, let placed?) = journal.changes[4] else {
            Issue.record("no rule")
            return
        }
        journal.changes[4] = .addRule(rules, installed: nil)
        journal.begun = 4
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil)
        let after = try nic.snapshot()
        #expect(after.rules.map(\.rule) == [placed.rule])
        #expect(after.indirection == before.indirection)
    }

    @Test func flowRulesStayOnForRulesThatCameMeanwhile() throws {
        var (nic, journal, _) = try steered()
        let rule = FlowRule(isIPv6: true, destinationPort: 443, target: .queue(1))
        _ = try nic.insert(rule, at: 9)
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.leftAlone == ["rx-ntuple-filter stays on: flow rule 9 came meanwhile"])
        #expect(nic.feature?.isActive == true)
    }

    @Test func missingObjectsAreNoFailure() throws {
        var (nic, journal, before) = try steered(spread: .rssContext)
        nic.installed = [:]
        nic.others = [:]
        try nic.setRings(RingRequest(threshold: 256))
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    @Test func failedRestoresStayInTheJournal() throws {
        var (nic, journal, before) = try steered()
        nic.failing = nic.operations + 2
        var saved = journal
        let first = journal.reverse(on: nic, logger: logger) { saved = $0 }
        #expect(first.failure == SimulatedNIC.refusal)
        #expect(saved.changes.count == 1 && saved.phase == .restoring)
        nic.failing = nil
        let second = saved.reverse(on: nic, logger: logger) { _ in }
        #expect(second.failure == nil)
        #expect(try nic.snapshot() == before)
    }

    @Test func aDefaultTableFollowsWhatTheNICHasBecome() throws {
        for (slots, queues) in [(256, 8), (64, 8), (128, 12), (256, 16), (128, 6)] {
            var (nic, journal, _) = try steered(spread: .roundRobin)
            let written = nic.main?.indirection ?? []
            nic.main?.indirection = TableRestoration.fit(written, to: slots)
            nic.channelCount = queues
            let result = journal.reverse(on: nic, logger: logger) { _ in }
            #expect(result.failure == nil)
            #expect(!nic.isTableConfigured, "\(slots) slots, \(queues) queues")
            #expect(nic.main?.indirection == defaultIndirection(slots: slots, queues: queues))
        }
    }

    @Test func twoFlowsThatEndInTheSameWiderRuleShareIt() throws {
        let snapshot = NICSnapshot(
            rings: RingSettings(headerSplit: .off, splitThreshold: nil),
            receiveQueues: (0..<4).map { QueueInfo(id: $0, type: .rx) }, contexts: [],
            ntuple: FeatureState(isActive: true, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [], capacity: nil, choosesLocation: true))
        let nic = SimulatedNIC(snapshot, defaultSplit: .off, isSplitExplicit: false)
        nic.refusesSources = true
        let wide = FlowRule(isIPv6: false, destinationPort: 80)
        let flows = (1...2 as ClosedRange<UInt8>).map { last -> SteeringFlow in
            var narrow = wide
            narrow.source = [192, 0, 2, last]
            return SteeringFlow(families: [[narrow, wide]])
        }
        let before = try nic.snapshot()
        let plan = try SteeringPlan(
            for: SteeringRequest(queues: .last(1), flows: flows), on: before, interface: nic.name)
        var journal = SteeringJournal.sample(plan: plan, on: before)
        try journal.apply(to: nic, logger: logger) { _ in }
        #expect(nic.installed.values.map(\.rule) == [wide.aimed(at: .queue(3))])
        _ = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(try nic.snapshot() == before)
    }
}

import Logging
import Testing

@testable import DevmemCore

/// Steering that does not request header split, which the selftest of binding needs.
@Suite struct UnsplitSteeringTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func nic(
        _ split: HeaderSplit, default defaultSplit: HeaderSplit
    ) throws -> SimulatedNIC {
        let snapshot = NICSnapshot(
            rings: RingSettings(headerSplit: split, splitThreshold: 256),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) },
            contexts: [RSSContext(id: 0, indirection: (0..<128).map { $0 % 8 })],
            ntuple: FeatureState(isActive: true, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [], capacity: 16, choosesLocation: false))
        return SimulatedNIC(
            snapshot, defaultSplit: defaultSplit, isSplitExplicit: split != defaultSplit)
    }

    private func journal(for nic: borrowing SimulatedNIC) throws -> SteeringJournal {
        let before = try nic.snapshot()
        let request = SteeringRequest(queues: .list([6, 7]), flows: [], splitsHeaders: false)
        let plan = try SteeringPlan(for: request, on: before, interface: nic.name)
        return .sample(plan: plan, on: before)
    }

    @Test(
        arguments: [HeaderSplit.unknown, .off, .on], [HeaderSplit.unknown, .off, .on]
    ) func itIsAsBeforeAfterwards(split: HeaderSplit, defaultSplit: HeaderSplit) throws {
        // A driver with a default of its own never reports "unknown".
        guard split != .unknown || defaultSplit == .unknown else { return }
        let nic = try nic(split, default: defaultSplit)
        let before = try nic.snapshot()
        var journal = try journal(for: nic)
        #expect(!journal.changes.contains(.headerSplit(before: split, after: .on)))
        try journal.apply(to: nic, logger: logger) { _ in }
        #expect(try nic.rings().headerSplit == defaultSplit)
        #expect(Set(try nic.snapshot().indirection).isDisjoint(with: [6, 7]))
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    /// Header split needs hardware GRO on some NICs, and here nobody asks for header split.
    @Test(arguments: [false, true]) func itNeedsNoHardwareGRO(isChangeable: Bool) throws {
        let nic = try nic(.off, default: .off)
        nic.neededGRO = FeatureState(isActive: false, isChangeable: isChangeable)
        let journal = try journal(for: nic)
        let asksForFeature = journal.changes.contains {
            if case .feature = $0 { true } else { false }
        }
        #expect(!asksForFeature)
    }

    @Test func aDeathInBetweenIsRecoveredFrom() throws {
        var deaths = 0
        for deadly in 0..<20 {
            let nic = try nic(.on, default: .off)
            let before = try nic.snapshot()
            var journal = try journal(for: nic)
            var saved = journal
            nic.deadly = deadly
            try? journal.apply(to: nic, logger: logger) { saved = $0 }
            guard nic.isDead else { continue }
            deaths += 1
            nic.revive()
            let result = saved.reverse(on: nic, logger: logger) { _ in }
            #expect(result.failure == nil && result.leftAlone.isEmpty, "death \(deadly)")
            #expect(try nic.snapshot() == before, "death \(deadly)")
        }
        #expect(deaths >= 4)
    }
}

import Logging
import SystemPackage
import Testing

@testable import DevmemCore

/// Obstacles to restoring a NIC: drivers while the interface is down, after a reset, and settings
/// that depend on each other.
@Suite struct SteeringObstacleTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let table = (0..<64).map { UInt32($0 == 9 ? 7 : $0 % 3) }

    private func nic(
        table: [UInt32]? = nil, split: HeaderSplit = .off, gro: FeatureState? = nil,
        sizes: [String: UInt32] = [:], driver: String? = nil
    ) throws -> SimulatedNIC {
        let snapshot = NICSnapshot(
            driver: driver,
            rings: RingSettings(headerSplit: split, splitThreshold: 0, sizes: sizes),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) },
            contexts: [
                RSSContext(
                    id: 0, indirection: table ?? defaultIndirection(slots: 64, queues: 8))
            ], ntuple: FeatureState(isActive: true, isChangeable: true), neededGRO: gro,
            ruleTable: FlowRuleTable(locations: [], capacity: 16, choosesLocation: false))
        let nic = SimulatedNIC(snapshot, defaultSplit: split, isSplitExplicit: false)
        nic.isTableConfigured = table != nil
        return nic
    }

    private func steered(_ nic: SimulatedNIC) throws -> SteeringJournal {
        var journal = try planned(nic)
        try journal.apply(to: nic, logger: logger) { _ in }
        return journal
    }

    private func planned(_ nic: SimulatedNIC) throws -> SteeringJournal {
        let before = try nic.snapshot()
        let listen = Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 5201)
        let request = SteeringRequest(queues: .list([7]), flows: [SteeringFlow(to: listen)])
        let plan = try SteeringPlan(for: request, on: before, interface: nic.name)
        return .sample(plan: plan, on: before)
    }

    @Test func aTableThatIsGoneIsNotRestored() throws {
        let nic = try nic()
        var journal = try steered(nic)
        nic.main = nil
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && journal.changes.isEmpty)
        #expect(!result.restored.contains { $0.contains("RSS table") })
    }

    /// Another process may have turned it on meanwhile; turning it off would delete its rules.
    @Test func aFeatureThatIsOnIsNotTurnedOff() throws {
        let nic = try nic()
        try nic.ask(for: .flowRules, true)
        #expect(nic.operations == 0 && nic.feature?.isActive == true)
    }

    /// Drivers that keep a feature off say why elsewhere; other errors speak for themselves.
    @Test(arguments: [DevmemError.Kind.unsupported, .system])
    func whereToLookForWhyAFeatureStaysOff(kind: DevmemError.Kind) throws {
        for (ntuple, gro, hint) in [
            (false, true, "see dmesg"), (true, false, "rx_striding_rq"),
        ] {
            let nic = try nic(gro: FeatureState(isActive: gro, isChangeable: true))
            nic.feature?.isActive = ntuple
            nic.featureRefusal = DevmemError(kind, call: "change a feature", errno: .ioError)
            var journal = try planned(nic)
            let error = #expect(throws: DevmemError.self) {
                try journal.apply(to: nic, logger: logger) { _ in }
            }
            let isExplained = error?.advice?.description.contains(hint) == true
            #expect(isExplained == (kind == .unsupported), "\(hint)")
        }
    }

    @Test func whatCannotBeSeenWhileDownIsRestoredOnceUp() throws {
        let nic = try nic(table: table)
        let before = try nic.snapshot()
        var journal = try steered(nic)
        nic.isDown = true
        nic.forgetsTableWhileDown = true
        nic.hidesRulesWhileDown = true
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure?.errno == .networkDown)
        #expect(
            result.failure?.advice?.description.contains("restore the settings of sim0") == true)
        #expect(nic.installed.count == 1 && journal.changes.count == 2)
        nic.isDown = false
        let next = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(next.failure == nil && next.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    @Test func whatCanBeSeenWhileDownIsRestored() throws {
        let nic = try nic(table: table)
        let before = try nic.snapshot()
        var journal = try steered(nic)
        nic.isDown = true
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    @Test func aRuleThatIsOnlyRememberedIsGone() throws {
        let nic = try nic()
        var journal = try steered(nic)
        nic.remembered = nic.installed
        nic.installed = [:]
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
    }

    @Test func hardwareGROThatIsUnwantedByThenGoesOff() throws {
        let nic = try nic(
            split: .unknown, gro: FeatureState(isActive: false, isChangeable: true))
        let before = try nic.snapshot()
        var journal = try steered(nic)
        #expect(throws: DevmemError.self) { try nic.setFeature(.hardwareGRO, false) }
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    @Test func hardwareGROWaitsForHeaderSplit() throws {
        let nic = try nic(
            split: .unknown, gro: FeatureState(isActive: false, isChangeable: true))
        let before = try nic.snapshot()
        var journal = try steered(nic)
        nic.boundByOthers = Self.bound
        #expect(journal.reverse(on: nic, logger: logger) { _ in }.failure == Self.bound)
        #expect(nic.neededGRO?.isActive == true && nic.neededGRO?.isWanted == true)
        nic.boundByOthers = nil
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
    }

    private static let bound = DevmemError(
        .netlink, .init(.setHeaderSplit, "set tcp-data-split"), errno: .invalidArgument,
        message: "can't disable tcp-data-split while device has memory provider enabled")

    @Test func splitWaitsForTheMemoryOfOthers() throws {
        for (split, driver) in [(HeaderSplit.on, "fbnic"), (.off, "bnxt_en")] {
            let nic = try nic(split: split, driver: driver)
            nic.canProbe = false
            nic.refusesOff = true
            var journal = try steered(nic)
            nic.boundByOthers = Self.bound
            #expect(journal.reverse(on: nic, logger: logger) { _ in }.failure == Self.bound)
            nic.boundByOthers = nil
            let result = journal.reverse(on: nic, logger: logger) { _ in }
            #expect(result.failure == nil && result.leftAlone.isEmpty)
            #expect(nic.explicitSplit == nil)
        }
    }

    @Test func splitKeptByTheDriverIsReported() throws {
        let nic = try nic(split: .off, driver: "bnxt_en")
        nic.refusesOff = true
        var journal = try steered(nic)
        nic.defaultSplit = .on
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil)
        #expect(
            result.leftAlone == ["tcp-data-split was off, and the driver now has it on by default"])
    }

    @Test func aTableThatTheDriverHasResetIsADefaultAgain() throws {
        let nic = try nic()
        var journal = try steered(nic)
        #expect(nic.isTableConfigured)
        nic.main?.indirection = defaultIndirection(slots: 64, queues: 8)
        #expect(journal.reverse(on: nic, logger: logger) { _ in }.failure == nil)
        #expect(!nic.isTableConfigured)
    }

    @Test func aDefaultOfOtherChannelsStaysOneWhenSteeredAgain() throws {
        let nic = try nic()
        var journal = try steered(nic)
        nic.channelCount = 12
        nic.main?.indirection = defaultIndirection(slots: 64, queues: 12)
        nic.isTableConfigured = false
        let loss = try #require(
            try journal.losses(in: SteeringState(of: nic, for: journal)).first)
        try journal.renew(loss, on: nic, logger: logger) { _ in }
        #expect(try !nic.indirection().contains(7))
        _ = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(try nic.indirection() == defaultIndirection(slots: 64, queues: 12))
        #expect(!nic.isTableConfigured)
    }

    @Test func aTableThatCannotBeSteeredAgainIsAnError() throws {
        for number: UInt32 in [7, .max] {
            let nic = try nic()
            let journal = try steered(nic)
            nic.channelCount = 0
            nic.main?.indirection = [UInt32](repeating: 7, count: 63) + [number]
            let loss = try #require(
                try journal.losses(in: SteeringState(of: nic, for: journal)).first)
            var attempt = journal
            if number == 7 {
                #expect(throws: DevmemError.self) {
                    try attempt.renew(loss, on: nic, logger: logger) { _ in }
                }
                #expect(attempt == journal)
            } else {
                try attempt.renew(loss, on: nic, logger: logger) { _ in }
                #expect(try nic.indirection() == [UInt32](repeating: .max, count: 64))
            }
        }
    }

    @Test func aRingThatHeaderSplitMadeShorterGetsItsLengthBack() throws {
        let nic = try nic(sizes: ["rx": 4096, "tx": 512], driver: "bnxt_en")
        nic.splitRingLimit = 2047
        let before = try nic.snapshot()
        var journal = try steered(nic)
        #expect(nic.sizes == ["rx": 2047, "tx": 512])
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        #expect(try nic.snapshot() == before)
        // A rule altered by another process stays.
        journal = try steered(nic)
        nic.sizes["rx"] = 512
        let next = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(next.failure == nil && nic.sizes["rx"] == 512)
        #expect(next.leftAlone == ["the rx ring has 512 entries, it had 4096"])
    }

    /// A value that reads as before may be another's setting.
    @Test func aDeathWhileRestoringLeavesADriversSplit() throws {
        var deaths = 0
        for deadly in 0..<40 {
            let nic = try nic(split: .off, driver: "gve")
            nic.keepsSplit = true
            var journal = try steered(nic)
            var saved = journal
            nic.deadly = 2 * nic.operations + deadly
            _ = journal.reverse(on: nic, logger: logger) { saved = $0 }
            guard nic.isDead else { continue }
            deaths += 1
            nic.revive()
            #expect(saved.reverse(on: nic, logger: logger) { _ in }.failure == nil)
            #expect(nic.explicitSplit == nil && nic.defaultSplit == .off, "death \(deadly)")
        }
        #expect(deaths >= 8)
    }

    @Test func aUsersOffComesBackAfterADeath() throws {
        var deaths = 0
        for deadly in 0..<20 {
            let nic = try nic(split: .off)
            nic.explicitSplit = .off
            var journal = try planned(nic)
            var saved = journal
            nic.deadly = deadly
            try? journal.apply(to: nic, logger: logger) { saved = $0 }
            // Until it is recorded who set it, it cannot be known.
            guard nic.isDead,
                case .headerSplit(_, _, wasUserSet: true?)? = saved.changes.first
            else { continue }
            deaths += 1
            nic.revive()
            #expect(saved.reverse(on: nic, logger: logger) { _ in }.failure == nil)
            #expect(nic.explicitSplit == .off, "death \(deadly)")
        }
        #expect(deaths >= 4)
    }
}

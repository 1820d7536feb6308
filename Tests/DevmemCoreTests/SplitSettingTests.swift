import Logging
import SystemPackage
import Testing

@testable import DevmemCore

/// A user's setting of header split and the driver's state are distinct.
@Suite struct SplitSettingTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Creates a NIC that reports a header split and a threshold; `set` is the user's setting.
    private func nic(
        reads split: HeaderSplit, set: HeaderSplit? = nil, threshold: UInt32? = nil,
        driver: String? = nil
    ) -> SimulatedNIC {
        let snapshot = NICSnapshot(
            rings: RingSettings(headerSplit: split, splitThreshold: threshold),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) }, contexts: [], ntuple: nil,
            ruleTable: nil)
        let nic = SimulatedNIC(snapshot, defaultSplit: split, isSplitExplicit: false)
        nic.explicitSplit = set
        nic.driver = driver
        nic.keepsSplit = driver == "gve"
        nic.refusesOff = driver == "bnxt_en" || driver == "fbnic"
        return nic
    }

    private func journal(for nic: borrowing SimulatedNIC) throws -> SteeringJournal {
        let before = try nic.snapshot()
        let request = SteeringRequest(queues: .list([7]), flows: [])
        let plan = try SteeringPlan(for: request, on: before, interface: nic.name)
        return .sample(plan: plan, on: before)
    }

    /// Steers and restores; returns how often the rings were set.
    private func run(_ nic: SimulatedNIC) throws -> Int {
        let before = try nic.snapshot()
        var journal = try journal(for: nic)
        try journal.apply(to: nic, logger: logger) { _ in }
        #expect(nic.explicitSplit == .on && (nic.threshold ?? 0) == 0)
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.leftAlone.isEmpty)
        let wasChanged = before.rings.splitThreshold.map { $0 > 0 } ?? false
        #expect(result.restored.contains { $0.hasPrefix("hds-thresh") } == wasChanged)
        #expect(try nic.snapshot() == before)
        return nic.ringSets
    }

    @Test func aUsersSettingStaysAndADriversStateComesBack() throws {
        let cases: [(nic: SimulatedNIC, requests: Int)] = [
            // First the driver's own state, then a user's setting.
            (nic(reads: .off, threshold: 256), 2), (nic(reads: .on, threshold: 640), 2),
            (nic(reads: .on, threshold: 0), 2), (nic(reads: .on), 2), (nic(reads: .unknown), 2),
            (nic(reads: .unknown, threshold: 0), 2), (nic(reads: .off, driver: "gve"), 3),
            (nic(reads: .off, threshold: 640, driver: "bnxt_en"), 2),
            (nic(reads: .on, threshold: 1536, driver: "fbnic"), 2),
            (nic(reads: .on, set: .on, threshold: 640), 2), (nic(reads: .on, set: .on), 0),
            (nic(reads: .on, set: .on, threshold: 0), 0), (nic(reads: .off, set: .off), 3),
        ]
        for (nic, requests) in cases {
            let setting = nic.explicitSplit
            let what = "\(try nic.rings()) \(nic.driver ?? "")"
            #expect(try run(nic) == requests, "\(what)")
            #expect(nic.explicitSplit == setting, "\(what)")
        }
    }

    /// Without udmabuf, a separate request and its notification give the answer.
    @Test func withoutABindingToAskASeparateRequestTells() throws {
        for (set, requests) in [(nil, 3), (.on, 2)] as [(HeaderSplit?, Int)] {
            let nic = nic(reads: .on, set: set, threshold: 640)
            nic.canProbe = false
            #expect(try run(nic) == requests)
            #expect(nic.explicitSplit == set)
        }
    }

    @Test func whatCannotBeLearntStaysOn() throws {
        for set in [nil, .on] as [HeaderSplit?] {
            let nic = nic(reads: .on, set: set, threshold: 640)
            nic.canProbe = false
            nic.hidesSettingOwner = true
            _ = try run(nic)
            #expect(nic.explicitSplit == .on)
        }
    }

    /// Journals of versions that did not record who set it.
    @Test func olderJournalsAreReadAndKeepSplitOn() throws {
        let nic = nic(reads: .on, threshold: 640)
        var journal = try journal(for: nic)
        let body = try String(
            decoding: JournalStore.encode(journal).split(separator: 10)[1], as: UTF8.self)
        #expect(body.contains(#"{"headerSplit":{"after":2,"before":2}}"#))
        #expect(!body.contains("wasUserSet"))
        try journal.apply(to: nic, logger: logger) { _ in }
        journal.changes[0] = .headerSplit(before: .on, after: .on)
        let old = try JournalStore.decode(JournalStore.encode(journal), path: "test")
        #expect(old == journal)
        var reversed = old
        let result = reversed.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil)
        #expect(nic.explicitSplit == .on && nic.threshold == 640)
        // The answer is recorded.
        journal.changes[0] = .headerSplit(before: .on, after: .on, wasUserSet: false)
        #expect(try JournalStore.decode(JournalStore.encode(journal), path: "test") == journal)
    }

    /// A driver that keeps its state when nobody asks for one: header split goes off nevertheless.
    @Test func aDriverThatKeepsItsStateIsAskedToTurnItOff() throws {
        let nic = nic(reads: .off, threshold: 640)
        nic.keepsSplit = true
        var journal = try journal(for: nic)
        try journal.apply(to: nic, logger: logger) { _ in }
        #expect(try nic.rings().headerSplit == .on)
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && result.restored.contains("tcp-data-split off"))
        #expect(try nic.rings().headerSplit == .off && nic.threshold == 640)
    }

    @Test func aRefusalDoesNotBlockOthers() throws {
        // Hardware GRO came on meanwhile and turned header split on; nobody requests it any more.
        let nic = nic(reads: .off, threshold: 640, driver: "bnxt_en")
        var journal = try journal(for: nic)
        try journal.apply(to: nic, logger: logger) { _ in }
        nic.defaultSplit = .on
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.failure == nil && journal.changes.isEmpty)
        #expect(nic.explicitSplit == nil && nic.threshold == 640)
    }

    @Test func oneOfTwoChangesMayBeAnothers() throws {
        let nic = nic(reads: .off, threshold: 256)
        var journal = try journal(for: nic)
        try journal.apply(to: nic, logger: logger) { _ in }
        nic.threshold = 64
        let result = journal.reverse(on: nic, logger: logger) { _ in }
        #expect(result.restored == ["tcp-data-split off"])
        #expect(result.leftAlone == ["hds-thresh is 64, neither 256 nor 0"])
        #expect(nic.explicitSplit == nil && nic.threshold == 64)
    }
}

/// What the kernel's notifications and refusals say about a setting.
@Suite struct RingWatchTests {
    private let before = RingSettings(headerSplit: .on, splitThreshold: 0, sizes: ["rx": 512])
    private let request = RingRequest(split: .on)

    private func verdict(_ seen: RingSettings...) -> Bool? {
        RingWatch.verdict(on: request, before: before, seen: seen)
    }

    @Test func oneNotificationLikeTheRequestIsOurs() {
        var other = before
        other.sizes["rx"] = 1024
        var off = before
        off.headerSplit = .off
        #expect(verdict() == false)
        #expect(verdict(before) == true)
        #expect(verdict(before, before) == nil)
        #expect(verdict(other) == nil)
        #expect(verdict(off) == nil)
        var threshold = before
        threshold.splitThreshold = 64
        #expect(verdict(threshold) == nil)
        #expect(
            RingWatch.verdict(
                on: RingRequest(split: .unknown), before: before, seen: [off]) == true)
    }

    private func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        raw(UInt16(4 + payload.count)) + raw(type) + payload
            + [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
    }

    private func notification(_ command: UInt8, interface: UInt32) -> [UInt8] {
        let payload =
            [command, 1, 0, 0]
            + attribute(1 | AttributeFlag.nested, attribute(1, raw(interface)))
            + attribute(6, raw(UInt32(512))) + attribute(11, [2]) + attribute(17, raw(UInt32(0)))
        return raw(UInt32(16 + payload.count)) + raw(UInt16(0x15)) + raw(UInt16(0))
            + raw(UInt32(3)) + raw(UInt32(0)) + payload
    }

    @Test func onlyRingsOfTheInterfaceCount() throws {
        let datagrams = [
            notification(17, interface: 4), notification(17, interface: 5),
            notification(19, interface: 4), [],
        ]
        #expect(try RingWatch.notifications(in: datagrams, about: 4) == [before])
        #expect(try RingWatch.notifications(in: datagrams, about: 6).isEmpty)
    }

    @Test func hostileNotificationsEndInAValueOrAnError() {
        var random = SystemRandomNumberGenerator()
        let whole = notification(17, interface: 4)
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<3 {
                bytes[Int.random(in: bytes.indices, using: &random)] = .random(
                    in: .min ... .max, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...8, using: &random))
            _ = try? RingWatch.notifications(in: [bytes], about: 4)
        }
    }

    @Test func refusedBindingsTell() {
        func error(_ text: String?) -> DevmemError {
            DevmemError(.netlink, call: "bind-rx", errno: .invalidArgument, message: text)
        }
        #expect(
            RingWatch.isSplitUserSet(bindingRefusedWith: error("tcp-data-split is disabled"))
                == false)
        #expect(
            RingWatch.isSplitUserSet(bindingRefusedWith: error("hds-thresh is not zero")) == true)
        #expect(RingWatch.isSplitUserSet(bindingRefusedWith: error(nil)) == nil)
    }
}

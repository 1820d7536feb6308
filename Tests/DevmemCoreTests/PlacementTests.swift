import Testing

@testable import DevmemCore

/// Why payload arrived outside device memory, and how that is reported.
@Suite struct PlacementTests {
    private func counts(device: UInt64, ordinary: UInt64) -> ReceiveCounts {
        var counts = ReceiveCounts()
        counts.deviceBytes = device
        counts.ordinaryBytes = ordinary
        return counts
    }

    @Test func onlyPayloadWithoutDeviceMemoryFails() {
        let none = PayloadPlacement(counts(device: 0, ordinary: 0), reason: "x")
        #expect(none.verdict == .nothing && none.failure == nil && none.reason == nil)
        #expect(none.deviceShare == 0)
        let all = PayloadPlacement(counts(device: 9, ordinary: 0), reason: "x")
        #expect(all.verdict == .device && all.failure == nil && all.reason == nil)
        let some = PayloadPlacement(counts(device: 1, ordinary: 3), reason: "a rule")
        #expect(some.verdict == .mixed && some.failure == nil && some.reason == "a rule")
        #expect(some.deviceShare == 0.25)
        let host = PayloadPlacement(counts(device: 0, ordinary: 1), reason: "a rule")
        #expect(host.verdict == .host)
        #expect(host.failure == "no payload came in device memory: a rule")
        let unknown = PayloadPlacement(counts(device: 0, ordinary: 1), reason: nil)
        #expect(unknown.failure == "no payload came in device memory")
    }

    private static let rule = FlowRule(
        isIPv6: false, destinationPort: 5201, target: .queue(7))

    private func installed(_ rule: FlowRule, at location: UInt32) throws -> InstalledRule {
        try #require(
            InstalledRule(
                specification: FlowSpec.encode(rule, location: location), context: 0))
    }

    /// Returns the reason for a NIC that is steered as planned: queue 7 is bound, and rule 3
    /// directs to it.
    private func reason() throws -> PlacementReason {
        var queues = (0..<8).map { QueueInfo(id: $0, type: .rx) }
        for index in queues.indices { queues[index].napiID = 100 + UInt32(index) }
        queues[7].dmabufID = 5
        let snapshot = NICSnapshot(
            rings: RingSettings(headerSplit: .on, splitThreshold: 0), receiveQueues: queues,
            contexts: [], ntuple: FeatureState(isActive: true, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [3], capacity: 16, choosesLocation: true),
            rules: [try installed(Self.rule, at: 3)])
        var reason = PlacementReason(snapshot: snapshot, queues: [7], provider: .binding(5))
        reason.rules = [SteeringChange.PlacedRule(rule: Self.rule, location: 3)]
        return reason
    }

    @Test func namesTheSettingThatIsWrong() throws {
        let good = try reason()
        #expect(
            good.text(for: MisplacedStream())
                == "the cause is unknown: no rule or setting of the NIC explains it")
        func expect(_ text: String, _ change: (inout NICSnapshot) -> Void) {
            var snapshot = good.snapshot
            change(&snapshot)
            var bad = PlacementReason(snapshot: snapshot, queues: [7], provider: .binding(5))
            bad.rules = good.rules
            #expect(bad.text(for: MisplacedStream()) == text)
        }
        expect("tcp-data-split is off") { $0.rings.headerSplit = .off }
        expect("hds-thresh is 640, so shorter packets are not split") {
            $0.rings.splitThreshold = 640
        }
        expect("queue 7 is no longer bound to the memory") { $0.receiveQueues[7].dmabufID = nil }
        expect("queue 7 is no longer bound to the memory") { $0.receiveQueues[7].dmabufID = 6 }
    }

    @Test func aQueueOfIOUringIsBound() throws {
        var snapshot = try reason().snapshot
        snapshot.receiveQueues[7].dmabufID = nil
        let lost = PlacementReason(snapshot: snapshot, queues: [7], provider: .ioUring)
        #expect(
            lost.text(for: MisplacedStream()) == "queue 7 is no longer bound to the memory")
        snapshot.receiveQueues[7].hasIOUring = true
        let bound = PlacementReason(snapshot: snapshot, queues: [7], provider: .ioUring)
        #expect(bound.text(for: MisplacedStream()).hasPrefix("the cause is unknown"))
    }

    @Test func namesTheRuleThatTookIt() throws {
        var bad = try reason()
        let other = try installed(Self.rule.aimed(at: .queue(2)), at: 9)
        var snapshot = bad.snapshot
        snapshot.rules.append(other)
        bad = PlacementReason(
            snapshot: snapshot, losses: [], rules: bad.rules, queues: [7], provider: .binding(5))
        let text =
            "flow rule 9 has the same match but leads elsewhere: flow-type tcp4 dst-port 5201 action 2"
        #expect(bad.text(for: MisplacedStream()) == text)
        // Payload on the right queue was not diverted by another rule.
        #expect(
            bad.text(for: MisplacedStream(napiID: 107)).hasPrefix(
                "its packets came through queue 7, which is bound"))
        // A rule with another match is found by the queue.
        snapshot.rules[1] = try installed(
            FlowRule(isIPv6: false, destination: [192, 0, 2, 1], target: .queue(2)), at: 9)
        bad = PlacementReason(
            snapshot: snapshot, losses: [], rules: bad.rules, queues: [7], provider: .binding(5))
        #expect(
            bad.text(for: MisplacedStream(napiID: 102))
                == "flow rule 9 leads it elsewhere: flow-type tcp4 dst-ip 192.0.2.1 action 2")
        #expect(
            bad.text(for: MisplacedStream(napiID: 103)).hasPrefix(
                "its packets came through queue 3, which is not bound"))
    }

    @Test func saysWhereItCameFrom() throws {
        var bad = try reason()
        #expect(
            bad.text(for: MisplacedStream(isLocal: true))
                == "the peer is this host, and packets to itself do not pass through a NIC")
        #expect(bad.text(for: MisplacedStream(isLinear: true)).contains("headers"))
        #expect(bad.text(for: MisplacedStream(napiID: 9)).contains("another NIC"))
        #expect(bad.text(for: MisplacedStream(napiID: 107)).contains("which is bound"))
        bad.losses = [SteeringLoss(change: 0, text: "flow rule 3 is gone")]
        #expect(bad.text(for: MisplacedStream(napiID: 102)) == "flow rule 3 is gone")
    }

    /// Queues may share an instance of NAPI; the first of those that are bound is named.
    @Test func namesABoundQueueOfSeveral() throws {
        var snapshot = try reason().snapshot
        for index in 4..<8 { snapshot.receiveQueues[index].napiID = 107 }
        for index in 5..<8 { snapshot.receiveQueues[index].dmabufID = 5 }
        let reason = PlacementReason(
            snapshot: snapshot, queues: [5, 6, 7], provider: .binding(5))
        #expect(reason.text(for: MisplacedStream(napiID: 107)).contains("queue 5, which is bound"))
    }

    @Test func onlyPayloadOutsideDeviceMemoryIsRejected() throws {
        let peer = Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 9)
        try counts(device: 9, ordinary: 0).rejectHostPayload(from: peer)
        let error = #expect(throws: DevmemError.self) {
            try counts(device: 9, ordinary: 1).rejectHostPayload(from: peer)
        }
        #expect(error?.kind == .unsupported)
    }

    @Test func saysWhatWasLostForAWhile() throws {
        var bad = try reason()
        let began = ContinuousClock.now
        bad.renewals = [SteeringReapplication(loss: "flow rule 3 is gone", moment: began)]
        let text = "steering was lost for a while (flow rule 3 is gone)"
        #expect(bad.text(for: MisplacedStream(napiID: 107, began: began)) == text)
        #expect(bad.text(for: MisplacedStream(napiID: 107)) == text)
        #expect(bad.text(for: MisplacedStream()) == text)
        // A loss before the stream began is no reason, nor is one for packets that now arrive
        // elsewhere.
        let later = MisplacedStream(napiID: 107, began: began + .seconds(1))
        #expect(bad.text(for: later).contains("which is bound"))
        #expect(bad.text(for: MisplacedStream(napiID: 103, began: began)).contains("not bound"))
        bad.losses = [SteeringLoss(change: 0, text: "flow rule 9 is gone")]
        #expect(bad.text(for: MisplacedStream(began: began)) == "flow rule 9 is gone")
    }

    @Test func theLatestOfWhatWasLostAreKept() {
        var renewals: [SteeringReapplication] = []
        let now = ContinuousClock.now
        for number in 1...40 { renewals.note("\(number)", at: now + .seconds(number)) }
        #expect(renewals.map(\.loss) == (25...40).map { "\($0)" })
        #expect(renewals.last?.moment == now + .seconds(40))
    }

    @Test func saysThatThePeerCameFromAnotherPort() throws {
        var bad = try reason()
        #expect(bad.text(for: MisplacedStream(peerPort: 40000)).contains("no rule or setting"))
        var rule = Self.rule
        rule.sourcePort = 5201
        bad.rules = [SteeringChange.PlacedRule(rule: rule, location: 3)]
        #expect(
            bad.text(for: MisplacedStream(napiID: 102, peerPort: 40000))
                == "the peer connected from port 40000, and the rules match another")
        #expect(bad.text(for: MisplacedStream(napiID: 102, peerPort: 5201)).contains("queue 2"))
        #expect(bad.text(for: MisplacedStream(napiID: 102)).contains("queue 2"))
    }

    /// Payload outside device memory is reported even if the NIC does not answer.
    @Test func aReasonThatCannotBeReadIsSaid() {
        #expect(PlacementReason.text { () throws(DevmemError) in "a rule" } == "a rule")
        let text = PlacementReason.text { () throws(DevmemError) in
            throw DevmemError(.netlink, call: "read", errno: .resourceBusy)
        }
        #expect(text == "the cause is unknown, because the NIC's settings cannot be read")
    }
}

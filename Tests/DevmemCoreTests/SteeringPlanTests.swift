import Testing

@testable import DevmemCore

@Suite struct SteeringPlanTests {
    private func queue(_ id: UInt32) -> QueueInfo {
        QueueInfo(id: id, type: .rx)
    }

    private var snapshot: NICSnapshot {
        NICSnapshot(
            rings: RingSettings(headerSplit: .off, splitThreshold: 256),
            receiveQueues: (0..<8).map { queue($0) },
            indirection: (0..<128).map { $0 % 8 },
            flowRules: FeatureState(isActive: true, isChangeable: true))
    }

    private var wish: SteeringWish {
        SteeringWish(
            queues: [6, 7],
            flows: [[FlowRule(isIPv6: false, destinationPort: 5201, queue: 0)]])
    }

    private func plan(_ wish: SteeringWish, _ snapshot: NICSnapshot) throws -> SteeringPlan {
        try SteeringPlan(for: wish, on: snapshot, interface: "eth1")
    }

    @Test func changesWhatDeviceMemoryNeeds() throws {
        let plan = try plan(wish, snapshot)
        #expect(plan.queues == [6, 7])
        #expect(plan.changes.count == 4)
        #expect(plan.changes[0] == .headerSplit(before: .off))
        #expect(plan.changes[1] == .splitThreshold(before: 256))
        guard case .indirection(let before, let after, reset: true) = plan.changes[2] else {
            Issue.record("no change of the RSS table")
            return
        }
        #expect(before == snapshot.indirection)
        #expect(!after.contains(6) && !after.contains(7))
        #expect(
            plan.changes[3]
                == .addRule([FlowRule(isIPv6: false, destinationPort: 5201, queue: 6)]))
    }

    @Test func takesTheLastQueueByDefault() throws {
        var wish = wish
        wish.queues = nil
        #expect(try plan(wish, snapshot).queues == [7])
    }

    @Test func headerSplitIsSetEvenIfOn() throws {
        var snapshot = snapshot
        snapshot.rings = RingSettings(headerSplit: .on, splitThreshold: 0)
        let changes = try plan(wish, snapshot).changes
        #expect(changes.first == .headerSplit(before: .on))
        #expect(!changes.contains(.splitThreshold(before: 0)))
    }

    @Test func turnsFlowRulesOnWhereTheyAreOff() throws {
        var snapshot = snapshot
        snapshot.flowRules = FeatureState(isActive: false, isChangeable: true)
        let changes = try plan(wish, snapshot).changes
        #expect(changes[3] == .enableFlowRules)
        #expect(changes.count == 5)
    }

    @Test func tableOfTheUserIsNotRestoredByReset() throws {
        var snapshot = snapshot
        snapshot.indirection[5] = 1
        #expect(
            try plan(wish, snapshot).changes.contains {
                if case .indirection(_, _, reset: false) = $0 { true } else { false }
            })
    }

    @Test func onlySlotsOfTakenQueuesMove() {
        let table: [UInt32] = [0, 3, 7, 1, 7, 7, 3, 0]
        #expect(
            SteeringPlan.indirection(table, without: [7], queueCount: 8)
                == [0, 3, 0, 1, 1, 3, 3, 0])
        // All slots taken: the queues that are left share them.
        #expect(
            SteeringPlan.indirection([7, 7, 7], without: [7], queueCount: 3) == [0, 1, 2])
        #expect(SteeringPlan.indirection([0, 1], without: [7], queueCount: 8) == [0, 1])
        #expect(SteeringPlan.indirection([], without: [7], queueCount: 8).isEmpty)
    }

    @Test func randomTablesKeepWhatIsNotTaken() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let count = UInt32.random(in: 2...16, using: &random)
            let table = (0..<128).map { _ in UInt32.random(in: 0..<count, using: &random) }
            let taken = Set((0..<count).shuffled(using: &random).prefix(Int(count) / 2))
            let moved = SteeringPlan.indirection(table, without: taken, queueCount: count)
            #expect(moved.count == table.count)
            for (before, after) in zip(table, moved) {
                #expect(!taken.contains(after) && after < count)
                #expect(taken.contains(before) || before == after)
            }
        }
    }

    @Test func refusesWhatCannotWork() throws {
        func message(_ queues: [UInt32]?, _ change: (inout NICSnapshot) -> Void) -> String? {
            var snapshot = snapshot
            change(&snapshot)
            var wish = wish
            wish.queues = queues
            do {
                _ = try plan(wish, snapshot)
                return nil
            } catch {
                return (error as? DevmemError)?.message
            }
        }
        #expect(message([8]) { _ in } == "no receive queue 8; there are 0-7")
        #expect(message([]) { _ in } == "none is named")
        #expect(
            message(Array(0..<8)) { _ in } == "no queue of 0-7 would be left for other traffic")
        #expect(
            message([7]) { $0.receiveQueues = [] } == "it has no queues while it is down")
        #expect(
            message([7]) { $0.receiveQueues[7].dmabufID = 3 }
                == "queue 7 is bound to dma-buf id 3")
        #expect(message([6]) { $0.receiveQueues[7].dmabufID = 3 } == nil)
        #expect(
            message([7]) { $0.rings.headerSplit = nil }
                == "the driver has no tcp-data-split setting")
        #expect(
            message([7]) { $0.flowRules = nil }
                == "the driver has no flow rules (rx-ntuple-filter)")
        #expect(
            message([7]) { $0.flowRules = FeatureState(isActive: false, isChangeable: false) }
                != nil)
    }

    @Test func flowsGrowWiderUntilTheNICTakesOne() throws {
        let address = try #require(IPAddress(bytes: [192, 0, 2, 1]))
        let peer = try #require(IPAddress(bytes: [192, 0, 2, 2]))
        let listen = Endpoint(address: address, port: 5201)
        #expect(
            SteeringWish.flows(to: listen, from: peer) == [
                [
                    FlowRule(
                        isIPv6: false, source: peer.bytes, destination: address.bytes,
                        destinationPort: 5201, queue: 0),
                    FlowRule(
                        isIPv6: false, destination: address.bytes, destinationPort: 5201, queue: 0),
                    FlowRule(isIPv6: false, destinationPort: 5201, queue: 0),
                ]
            ])
        #expect(SteeringWish.flows(to: listen, from: nil)[0].count == 2)
    }

    @Test func changesAreTold() throws {
        #expect(
            try plan(wish, snapshot).changes.map(\.description) == [
                "turn header split on (tcp-data-split was off)",
                "split packets of any size (hds-thresh was 256)",
                "move 32 of 128 RSS table entries",
                "add a flow rule: flow-type tcp4 dst-port 5201 action 6",
            ])
    }

    @Test func wildcardTakesBothFamilies() throws {
        let any = try #require(IPAddress(bytes: [UInt8](repeating: 0, count: 16)))
        #expect(
            SteeringWish.flows(to: Endpoint(address: any, port: 80), from: nil) == [
                [FlowRule(isIPv6: false, destinationPort: 80, queue: 0)],
                [FlowRule(isIPv6: true, destinationPort: 80, queue: 0)],
            ])
    }
}

@Suite struct FlowRuleTests {
    @Test func ruleIsEncodedAsTheKernelReadsIt() throws {
        let bytes = try FlowSpec.encode(
            FlowRule(
                isIPv6: false, source: [192, 0, 2, 2], destination: [192, 0, 2, 1],
                destinationPort: 0x1451, queue: 7),
            location: 0xffff_ffff)
        #expect(bytes.count == 168)
        #expect(bytes.word(at: 0) == 1)
        #expect(bytes[4..<16] == [192, 0, 2, 2, 192, 0, 2, 1, 0, 0, 0x14, 0x51])
        #expect(bytes[76..<88] == [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 255, 255])
        #expect(bytes.word(at: 152) == 7)
        #expect(bytes.word(at: 160) == 0xffff_ffff)
        #expect(bytes[88..<152].allSatisfy { $0 == 0 })
    }

    @Test func ruleOfIPv6IsEncodedAsTheKernelReadsIt() throws {
        let bytes = try FlowSpec.encode(
            FlowRule(
                isIPv6: true, destination: Array(1...16), sourcePort: 0x0102,
                destinationPort: 0x0304, queue: 2), location: 5)
        #expect(bytes.word(at: 0) == 5)
        #expect(bytes[4..<20].allSatisfy { $0 == 0 })
        #expect(Array(bytes[20..<40]) == Array(1...16) + [1, 2, 3, 4])
        #expect(bytes[76..<92].allSatisfy { $0 == 0 })
        #expect(bytes[92..<112].allSatisfy { $0 == 255 })
    }

    @Test func ruleIsDescribedInTheWordsOfEthtool() {
        #expect(
            FlowRule(
                isIPv6: false, source: [192, 0, 2, 2], destination: [192, 0, 2, 1],
                sourcePort: 9, destinationPort: 5201, queue: 7
            ).description
                == "flow-type tcp4 src-ip 192.0.2.2 dst-ip 192.0.2.1 src-port 9 dst-port 5201 action 7"
        )
    }

    @Test func addressOfTheOtherFamilyIsRefused() {
        #expect(throws: DevmemError.self) {
            try FlowSpec.encode(
                FlowRule(isIPv6: true, destination: [1, 2, 3, 4], queue: 0), location: 0)
        }
    }

    @Test func placeIsTheDriversChoiceOrTheLowestFree() throws {
        var table = FlowRuleTable(locations: [0, 1, 3], capacity: 5, choosesLocation: true)
        #expect(try table.place() == 0xffff_ffff)
        table.choosesLocation = false
        #expect(try table.place() == 2)
        table.locations = [0, 1, 2, 3, 4]
        #expect(throws: DevmemError.self) { try table.place() }
        table.capacity = nil
        #expect(try table.place() == 5)
    }
}

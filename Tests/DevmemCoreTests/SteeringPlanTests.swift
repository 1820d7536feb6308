import Testing

@testable import DevmemCore

@Suite struct SteeringPlanTests {
    private var snapshot: NICSnapshot {
        NICSnapshot(
            rings: RingSettings(headerSplit: .off, splitThreshold: 256),
            receiveQueues: (0..<8).map { QueueInfo(id: $0, type: .rx) },
            contexts: [RSSContext(id: 0, indirection: (0..<128).map { $0 % 8 })],
            ntuple: FeatureState(isActive: true, isChangeable: true),
            ruleTable: FlowRuleTable(locations: [], capacity: 64, choosesLocation: true))
    }

    private func flow(port: UInt16) -> SteeringFlow {
        SteeringFlow(families: [[FlowRule(isIPv6: false, destinationPort: port)]])
    }

    private var request: SteeringRequest {
        SteeringRequest(queues: .list([6, 7]), flows: [flow(port: 5201)])
    }

    private func plan(_ request: SteeringRequest, _ snapshot: NICSnapshot) throws -> SteeringPlan {
        try SteeringPlan(for: request, on: snapshot, interface: "eth1")
    }

    private func installed(_ rule: FlowRule, at location: UInt32) throws -> InstalledRule {
        let id: UInt32 = if case .context(let id) = rule.target { id } else { 0 }
        return try #require(
            InstalledRule(
                specification: try FlowSpec.encode(rule, location: location), context: id))
    }

    @Test func changesWhatDeviceMemoryNeeds() throws {
        let plan = try plan(request, snapshot)
        #expect(plan.queues == [6, 7])
        #expect(plan.changes.count == 4)
        #expect(plan.changes[0] == .headerSplit(before: .off, after: .on))
        #expect(plan.changes[1] == .splitThreshold(before: 256, after: 0))
        guard case .indirection(let before, let after, isDefault: true) = plan.changes[2] else {
            Issue.record("no change of the RSS table")
            return
        }
        #expect(before == snapshot.indirection)
        #expect(!after.contains(6) && !after.contains(7))
        #expect(
            plan.changes[3]
                == .addRule(
                    [FlowRule(isIPv6: false, destinationPort: 5201, target: .queue(6))],
                    installed: nil))
        #expect(plan.notes.isEmpty)
    }

    @Test func queuesAreChosen() throws {
        func queues(
            _ choice: QueueChoice, _ change: (inout NICSnapshot) throws -> Void = { _ in }
        ) throws -> [UInt32] {
            var snapshot = snapshot
            try change(&snapshot)
            return try plan(SteeringRequest(queues: choice, flows: []), snapshot).queues
        }
        #expect(try queues(.last(2)) == [6, 7])
        #expect(try queues(.automatic(1)) == [7])
        #expect(try queues(.automatic(2)) == [6, 7])
        #expect(try queues(.automatic(1)) { $0.receiveQueues[7].dmabufID = 3 } == [6])
        #expect(
            try queues(.automatic(2)) {
                $0.contexts.append(RSSContext(id: 1, indirection: [6, 6]))
            } == [5, 7])
        #expect(
            try queues(.automatic(1)) {
                $0.rules = [
                    try installed(
                        FlowRule(isIPv6: true, destinationPort: 1, target: .queue(7)), at: 0)
                ]
            } == [6])
        #expect(try queues(.list([3, 1, 3])) == [1, 3])
        // Never queue 0, with any driver.
        #expect(throws: DevmemError.self) {
            try queues(.automatic(1)) { $0.receiveQueues.removeLast(7) }
        }
        #expect(throws: DevmemError.self) { try queues(.automatic(8)) }
    }

    @Test func headerSplitIsSetEvenIfOn() throws {
        var snapshot = snapshot
        snapshot.rings = RingSettings(headerSplit: .on, splitThreshold: 0)
        let changes = try plan(request, snapshot).changes
        #expect(changes.first == .headerSplit(before: .on, after: .on))
        #expect(changes.count == 3)
    }

    @Test func turnsHardwareGROOnWhereSplitNeedsIt() throws {
        var snapshot = snapshot
        snapshot.neededGRO = FeatureState(isActive: false, isChangeable: true)
        let changes = try plan(request, snapshot).changes
        #expect(changes.first == .feature(.hardwareGRO, wasWanted: false))
        #expect(changes[1] == .headerSplit(before: .off, after: .on))
        snapshot.neededGRO = FeatureState(isActive: true, isChangeable: true)
        #expect(try plan(request, snapshot).changes.first == .headerSplit(before: .off, after: .on))
        snapshot.neededGRO = FeatureState(isActive: false, isChangeable: false)
        #expect(throws: DevmemError.self) { try plan(request, snapshot) }
    }

    @Test func turnsFlowRulesOnWhereTheyAreOff() throws {
        var snapshot = snapshot
        snapshot.ntuple = FeatureState(isActive: false, isChangeable: true)
        let changes = try plan(request, snapshot).changes
        #expect(changes[3] == .feature(.flowRules, wasWanted: false))
        #expect(changes.count == 5)
    }

    @Test func tableOfTheUserIsNotRestoredByReset() throws {
        var snapshot = snapshot
        snapshot.contexts[0].indirection[5] = 1
        #expect(
            try plan(request, snapshot).changes.contains {
                if case .indirection(_, _, isDefault: false) = $0 { true } else { false }
            })
    }

    @Test func onlySlotsOfTakenQueuesMove() {
        let table: [UInt32] = [0, 3, 7, 1, 7, 7, 3, 0]
        #expect(
            SteeringPlan.indirection(table, without: [7], queueCount: 8)
                == [0, 3, 0, 1, 1, 3, 3, 0])
        // If all slots point to taken queues, the other queues share them.
        #expect(
            SteeringPlan.indirection([7, 7, 7], without: [7], queueCount: 3) == [0, 1, 2])
        #expect(SteeringPlan.indirection([0, 1], without: [7], queueCount: 8) == [0, 1])
        #expect(SteeringPlan.indirection([], without: [7], queueCount: 8).isEmpty)
    }

    @Test func refusesWhatCannotWork() throws {
        func message(
            _ queues: [UInt32], _ change: (inout NICSnapshot) throws -> Void
        ) throws -> String? {
            var snapshot = snapshot
            try change(&snapshot)
            var request = request
            request.queues = .list(queues)
            do {
                _ = try plan(request, snapshot)
                return nil
            } catch {
                return (error as? DevmemError)?.message
            }
        }
        #expect(try message([8]) { _ in } == "there is no receive queue 8, only 0-7")
        #expect(try message([]) { _ in } == "the list is empty")
        #expect(
            try message(Array(0..<8)) { _ in } == "no queue of 0-7 would be left for other traffic"
        )
        #expect(
            try message([7]) { $0.receiveQueues = [] } == "it has no queues while it is down")
        #expect(
            try message([7]) { $0.receiveQueues[7].dmabufID = 3 }
                == "queue 7 is bound to dma-buf id 3")
        #expect(
            try message([7]) { $0.receiveQueues[7].hasXSK = true }
                == "queue 7 is used by an AF_XDP socket")
        #expect(
            try message([7]) {
                $0.receiveQueues[7].lease = QueueLease(interface: 9, queue: 1)
            }
                == "queue 7 is leased to a virtual interface")
        #expect(try message([6]) { $0.receiveQueues[7].dmabufID = 3 } == nil)
        #expect(try message([7]) { $0.xdpProgram = 12 } == "it has an XDP program, id 12")
        #expect(
            try message([0, 7]) { $0.driver = "gve" } == "gve cannot stop queue 0 while it is up")
        #expect(try message([0, 7]) { $0.driver = "bnxt_en" } == nil)
        #expect(
            try message([6]) { $0.contexts.append(RSSContext(id: 4, indirection: [0, 6])) }
                == "RSS context 4 leads to queue 6")
        #expect(
            try message([6]) { $0.contexts.append(RSSContext(id: 4, indirection: [0, 1])) } == nil)
        #expect(
            try message([7]) { $0.rings.headerSplit = nil }
                == "the driver has no tcp-data-split setting")
        let noRules = "the driver has no flow rules (rx-ntuple-filter)"
        #expect(try message([7]) { $0.ntuple = nil } == noRules)
        #expect(try message([7]) { $0.ruleTable = nil } == noRules)
        #expect(
            try message([7]) { $0.ntuple = FeatureState(isActive: false, isChangeable: false) }
                == noRules)
        #expect(
            try message([7]) { $0.ruleTable?.capacity = 0 }
                == "its table has 0 locations, 0 are in use, and 1 are needed")
        #expect(try message([7]) { $0.ruleTable?.capacity = nil } == nil)
    }

    @Test func flowsGrowWiderUntilTheNICTakesOne() throws {
        let address = try #require(IPAddress(bytes: [192, 0, 2, 1]))
        let peer = try #require(IPAddress(bytes: [192, 0, 2, 2]))
        let listen = Endpoint(address: address, port: 5201)
        let widest = FlowRule(isIPv6: false, destinationPort: 5201)
        var toAddress = widest
        toAddress.destination = address.bytes
        var fromPeer = toAddress
        fromPeer.source = peer.bytes
        var fromPort = fromPeer
        fromPort.sourcePort = 9
        #expect(
            SteeringFlow(to: listen, from: peer, port: 9).families
                == [[fromPort, fromPeer, toAddress, widest]])
        #expect(SteeringFlow(to: listen, from: peer).families == [[fromPeer, toAddress, widest]])
        #expect(SteeringFlow(to: listen).families == [[toAddress, widest]])
    }

    @Test func onlyThePeerThatIsNamedIsAdmitted() throws {
        let peer = try #require(IPAddress(bytes: [192, 0, 2, 2]))
        let other = try #require(IPAddress(bytes: [192, 0, 2, 3]))
        let mapped = try #require(
            IPAddress(bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2]))
        var request = ReceiveRequest(
            interface: nil, listen: [Endpoint(address: peer, port: 1)],
            queues: .automatic(1), memory: 1, command: "test")
        #expect(request.admits(Endpoint(address: other, port: 9)))
        request.from = [peer]
        #expect(request.admits(Endpoint(address: mapped, port: 9)))
        #expect(!request.admits(Endpoint(address: other, port: 9)))
        request.fromPort = 9
        #expect(request.admits(Endpoint(address: mapped, port: 9)))
        #expect(!request.admits(Endpoint(address: peer, port: 8)))
        // Clients of ncdevmem may use any port.
        request.allowsOtherPorts = true
        #expect(request.admits(Endpoint(address: peer, port: 8)))
    }

    @Test func wildcardTakesBothFamilies() throws {
        let any = try #require(IPAddress(bytes: [UInt8](repeating: 0, count: 16)))
        #expect(
            SteeringFlow(to: Endpoint(address: any, port: 80)).families == [
                [FlowRule(isIPv6: false, destinationPort: 80)],
                [FlowRule(isIPv6: true, destinationPort: 80)],
            ])
    }

    @Test func flowsAreSpread() throws {
        func targets(_ spread: FlowSpread, _ count: Int) throws -> [RuleTarget] {
            var request = request
            request.spread = spread
            request.flows = (0..<count).map { flow(port: UInt16($0)) }
            return try plan(request, snapshot).changes.compactMap {
                if case .addRule(let rules, _) = $0 { rules[0].target } else { nil }
            }
        }
        #expect(try targets(.roundRobin, 3) == [.queue(6), .queue(7), .queue(6)])
        #expect(try targets(.oneToOne, 2) == [.queue(6), .queue(7)])
        #expect(throws: DevmemError.self) { try targets(.oneToOne, 3) }
        #expect(try targets(.rssContext, 2) == [.newContext, .newContext])
    }

    @Test func aContextIsMadeOverTheQueues() throws {
        var request = request
        request.spread = .rssContext
        let changes = try plan(request, snapshot).changes
        #expect(
            changes.contains(
                .createContext(table: (0..<128).map { 6 + $0 % 2 }, id: nil)))
        var snapshot = snapshot
        snapshot.contexts = []
        #expect(throws: DevmemError.self) { try plan(request, snapshot) }
    }

    @Test func aRuleThatIsThereIsNotAddedAgain() throws {
        var snapshot = snapshot
        let there = FlowRule(isIPv6: false, destinationPort: 5201, target: .queue(7))
        snapshot.rules = [try installed(there, at: 5)]
        #expect(try plan(request, snapshot).changes.count == 3)
        // It does not serve while rules are off, or if it directs elsewhere.
        var off = snapshot
        off.ntuple = FeatureState(isActive: false, isChangeable: true)
        #expect(try plan(request, off).changes.count == 5)
        snapshot.rules = [try installed(there.aimed(at: .queue(2)), at: 5)]
        let plan = try plan(request, snapshot)
        #expect(plan.changes.count == 4)
        #expect(
            plan.notes == [
                "flow rule 5 has the same match but leads elsewhere: "
                    + "flow-type tcp4 dst-port 5201 action 2"
            ])
    }

    @Test func otherRulesToTakenQueuesAreNoted() throws {
        var snapshot = snapshot
        snapshot.rules = [
            try installed(FlowRule(isIPv6: true, sourcePort: 22, target: .queue(6)), at: 3)
        ]
        #expect(
            try plan(request, snapshot).notes == [
                "flow rule 3 also leads to queue 6: flow-type tcp6 src-port 22 action 6"
            ])
    }

    @Test func steeringInPlaceIsUsed() throws {
        var snapshot = snapshot
        snapshot.rings = RingSettings(headerSplit: .on, splitThreshold: 0)
        snapshot.contexts = [
            RSSContext(id: 0, indirection: (0..<128).map { $0 % 6 }),
            RSSContext(id: 1, indirection: [6, 7]),
        ]
        snapshot.rules = [
            try installed(
                FlowRule(isIPv6: false, destinationPort: 5201, target: .context(1)), at: 0)
        ]
        let applied = SteeringPlan.Applied(queues: [6, 7], contexts: [1])
        let request = SteeringRequest(queues: .automatic(1), flows: [flow(port: 5201)])
        let plan = try SteeringPlan(
            for: request, on: snapshot, interface: "eth1", applied: applied)
        #expect(plan.queues == [6, 7])
        #expect(plan.changes.isEmpty)
        // Without that, the same context is an obstacle.
        #expect(throws: DevmemError.self) {
            try SteeringPlan(
                for: SteeringRequest(queues: .list([6, 7]), flows: []), on: snapshot,
                interface: "eth1")
        }
    }

    /// A request for more queues than are steered must not silently get fewer.
    @Test func moreQueuesThanAreSteeredAreRefused() throws {
        let applied = SteeringPlan.Applied(queues: [7], contexts: [])
        #expect {
            try SteeringPlan(
                for: SteeringRequest(queues: .automatic(2), flows: []), on: snapshot,
                interface: "eth1", applied: applied)
        } throws: {
            ($0 as? DevmemError)?.message == "2 wanted, but it is steered to 7"
        }
    }

    @Test func changesAreReported() throws {
        #expect(
            try plan(request, snapshot).changes.map(\.description) == [
                "set tcp-data-split on (before: off)",
                "set hds-thresh 0 (before: 256)",
                "change 32 of 128 RSS table entries",
                "add a flow rule: flow-type tcp4 dst-port 5201 action 6",
            ])
    }

    @Test func ethtoolCommandsMatchThePlan() throws {
        var request = request
        request.table = .even
        request.spread = .rssContext
        var snapshot = snapshot
        snapshot.ntuple = FeatureState(isActive: false, isChangeable: true)
        #expect(
            try plan(request, snapshot).ethtoolCommands(for: "eth1", on: snapshot) == [
                "ethtool -G eth1 tcp-data-split on",
                "# hds-thresh needs ethtool 6.15 or newer.",
                "ethtool -G eth1 hds-thresh 0",
                "ethtool -X eth1 equal 6",
                "ethtool -K eth1 ntuple on",
                "context=$(ethtool -X eth1 start 6 equal 2 context new "
                    + "| sed -n 's/^New RSS context is //p')",
                "ethtool -N eth1 flow-type tcp4 dst-port 5201 context \"$context\"",
            ])
    }

    @Test func ethtoolLinesNamePlacesWhereTheDriverChoosesNone() throws {
        var snapshot = snapshot
        snapshot.ruleTable = FlowRuleTable(
            locations: [0, 2], capacity: 8, choosesLocation: false)
        var request = request
        request.flows = [flow(port: 1), flow(port: 2)]
        let lines = try plan(request, snapshot).ethtoolCommands(for: "eth1", on: snapshot)
        #expect(
            lines.suffix(2) == [
                "ethtool -N eth1 flow-type tcp4 dst-port 1 action 6 loc 1",
                "ethtool -N eth1 flow-type tcp4 dst-port 2 action 7 loc 3",
            ])
        let others = try plan(request, snapshot).ethtoolCommands(for: "$(id)", on: snapshot)
        #expect(others.last == "ethtool -N '$(id)' flow-type tcp4 dst-port 2 action 7 loc 3")
        // A comment marks what ethtool cannot express exactly.
        #expect(lines.contains { $0.hasPrefix("# ethtool cannot change single entries") })
    }

    @Test func tablesBecomeEthtoolArguments() {
        #expect(EthtoolCommands.indirectionArguments([0, 1, 2, 0, 1, 2, 0]) == "equal 3")
        #expect(EthtoolCommands.indirectionArguments([4, 4, 4]) == "start 4 equal 1")
        #expect(EthtoolCommands.indirectionArguments([0, 0, 0, 0, 2, 2]) == "weight 2 0 1")
        #expect(EthtoolCommands.indirectionArguments([1, 1, 3, 3]) == "weight 0 1 0 1")
        #expect(EthtoolCommands.indirectionArguments([0, 1, 0, 0]) == nil)
        #expect(EthtoolCommands.indirectionArguments([]) == nil)
        // Queue numbers that no driver should report.
        #expect(EthtoolCommands.indirectionArguments([0, .max]) == nil)
        #expect(EthtoolCommands.indirectionArguments([.max]) == nil)
        #expect(defaultIndirection(slots: 4, queues: 0) == [])
    }

    @Test func evenTablesAreAsEthtoolMakesThem() {
        #expect(evenIndirection(slots: 5, over: [2, 3]) == [2, 3, 2, 3, 2])
        // weight 1 0 1 1 over 8 entries: the boundaries 8/3 and 16/3 are rounded down.
        #expect(evenIndirection(slots: 8, over: [0, 2, 3]) == [0, 0, 2, 2, 2, 3, 3, 3])
        #expect(evenIndirection(slots: 3, over: []).isEmpty)
    }
}

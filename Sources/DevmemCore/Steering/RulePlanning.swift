import SystemPackage

/// The part of a plan that concerns flow rules.
extension SteeringPlan {
    mutating func planRules(
        for request: SteeringRequest, _ snapshot: NICSnapshot, _ name: String
    ) throws(DevmemError) {
        noteAcceleration(snapshot, name)
        guard !request.flows.isEmpty else { return }
        let call = "steer flows on \(name)"
        guard snapshot.canUseRules, let table = snapshot.ruleTable else {
            throw DevmemError(
                .unsupported, call: call,
                message: "the driver has no flow rules (\(SteeringFeature.flowRules.rawValue))",
                advice: "device memory needs a NIC that steers flows to queues")
        }
        guard request.spread != .oneToOne || request.flows.count <= queues.count else {
            throw DevmemError(
                .invalid, call: call,
                message:
                    "\(counted(request.flows.count, "flow")), but only queues \(queueList(queues))",
                advice: "use more queues, or spread the flows another way")
        }
        var rules: [SteeringChange] = []
        var places = RuleLocationPrediction(table, driver: snapshot.driver)
        for (number, flow) in request.flows.enumerated() {
            let target: RuleTarget =
                request.spread == .rssContext
                ? .newContext : .queue(queues[number % queues.count])
            for alternatives in flow.families {
                if let there = existingRule(alternatives, in: snapshot) {
                    noteConflicts(of: alternatives, with: there, snapshot)
                    continue
                }
                if let narrowest = alternatives.first {
                    noteConflicts(of: narrowest, at: places.next(), snapshot)
                }
                rules.append(.addRule(alternatives.map { $0.aimed(at: target) }, installed: nil))
            }
        }
        noteOthers(snapshot, request)
        if let capacity = table.capacity, Int(capacity) < table.locations.count + rules.count {
            throw DevmemError(
                .unsupported, call: call, errno: .noSpace,
                message:
                    "its table has \(capacity) locations, \(table.locations.count) are in use, "
                    + "and \(rules.count) are needed",
                advice: "ethtool -n \(shellWord(name)) lists the rules; delete those not needed")
        }
        if !snapshot.areRulesEffective, let ntuple = snapshot.ntuple {
            changes.append(.feature(.flowRules, wasWanted: ntuple.isWanted))
        }
        if request.spread == .rssContext && !rules.isEmpty {
            let slots = snapshot.indirection.count
            guard slots > 0 else {
                throw DevmemError(
                    .unsupported, call: call, message: "the driver has no RSS table",
                    advice: "spread flows another way")
            }
            changes.append(
                .createContext(table: evenIndirection(slots: slots, over: queues), id: nil))
        }
        changes += rules
    }

    /// Returns the notes, including conflicts of rules that had to be made wider than planned.
    func notes(with made: [SteeringChange], on snapshot: NICSnapshot) -> [String] {
        var copy = self
        for case .addRule(let planned, installed: let placed?) in made
        where placed.rule.match != planned.first?.match {
            copy.noteConflicts(of: placed.rule, at: placed.location, snapshot)
        }
        return copy.notes
    }

    /// Returns an installed rule that already has the effect of one of the alternatives.
    private func existingRule(
        _ alternatives: [FlowRule], in snapshot: NICSnapshot
    ) -> InstalledRule? {
        guard snapshot.areRulesEffective else { return nil }
        let taken = Set(queues)
        return snapshot.rules.first { installed in
            alternatives.contains(where: installed.matchesSame)
                && snapshot.leads(installed, onlyTo: taken)
        }
    }

    private mutating func noteConflicts(
        of alternatives: [FlowRule], with there: InstalledRule, _ snapshot: NICSnapshot
    ) {
        guard let rule = alternatives.first(where: there.matchesSame) else { return }
        noteConflicts(of: rule, at: there.location, snapshot)
    }

    private mutating func noteConflicts(
        of rule: FlowRule, at location: UInt32?, _ snapshot: NICSnapshot
    ) {
        let conflicts = RuleConflict.all(
            with: rule, at: location, in: snapshot, queues: Set(queues))
        for conflict in conflicts where !notes.contains(conflict.text) {
            notes.append(conflict.text)
        }
    }

    private mutating func noteOthers(_ snapshot: NICSnapshot, _ request: SteeringRequest) {
        let wanted = request.flows.flatMap(\.families).joined()
        for other in snapshot.rules {
            guard let queue = other.queue, queues.contains(queue),
                !wanted.contains(where: other.matchesSame)
            else { continue }
            notes.append("flow rule \(other.location) also leads to queue \(queue): \(other.text)")
        }
    }

    private mutating func noteAcceleration(_ snapshot: NICSnapshot, _ name: String) {
        // Where rules require the feature, it will be on once they are added.
        guard snapshot.ntuple?.isActive == true || NtupleFeature.isNeeded(driver: snapshot.driver)
        else { return }
        for queue in queues where snapshot.acceleratedQueues.contains(queue) {
            notes.append(
                "accelerated RFS may lead other flows to queue \(queue); "
                    + "echo 0 > /sys/class/net/\(name)/queues/rx-\(queue)/rps_flow_cnt prevents that"
            )
        }
    }
}

/// Predicts the locations of new rules.
struct RuleLocationPrediction {
    private let table: FlowRuleTable
    private let driver: String?
    private var used: Set<UInt32>

    init(_ table: FlowRuleTable, driver: String?) {
        self.table = table
        self.driver = driver
        used = Set(table.locations)
    }

    /// Returns the location of the next rule; nil if it is unknown or the table is full.
    mutating func next() -> UInt32? {
        guard let place = table.choosesLocation ? chosen : try? table.place(besides: used) else {
            return nil
        }
        used.insert(place)
        return place
    }

    /// fbnic assigns the highest free location (`fbnic_cls_rule_any_loc` of its fbnic_ethtool.c).
    private var chosen: UInt32? {
        guard driver == "fbnic", let capacity = table.capacity else { return nil }
        return (0..<capacity).reversed().first { !used.contains($0) }
    }
}

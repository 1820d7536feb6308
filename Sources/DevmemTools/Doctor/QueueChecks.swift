import DevmemCore
/// Checks the flow rule table.
func judgeRules(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Flow rules"
    let name = facts.shownName
    guard let table = list.value(of: facts.ruleTable, "ntuple", title),
        let ntuple = list.value(of: facts.ntuple, "ntuple", title)
    else { return }
    let driver = facts.device.driver
    let needsFeature = NtupleFeature.isNeeded(driver: driver)
    guard let table, !needsFeature || ntuple.isActive || ntuple.isChangeable else {
        list.add(
            "ntuple", title, .failed,
            "the driver has none (\(SteeringFeature.flowRules.rawValue)); device memory needs a NIC "
                + "that steers flows")
        return
    }
    if needsFeature {
        list.add(
            "ntuple", title, ntuple.isActive ? .ok : .warning,
            ntuple.isActive ? "on" : "off; rules have no effect until steering turns them on",
            fix: ntuple.isActive ? nil : "ethtool -K \(name) ntuple on")
    } else {
        list.add(
            "ntuple", title, .ok,
            "supported; ntuple is \(ntuple.isActive ? "on" : "off"), which with this driver only "
                + "means accelerated RFS")
    }
    judgeRuleCapacity(table, &list)
    judgePrecedence(facts, RulePrecedence(driver: driver), &list)
}

private func judgeRuleCapacity(_ table: FlowRuleTable, _ list: inout CheckList) {
    let title = "Room for flow rules"
    let used = table.locations.count
    if table.isFull {
        list.add(
            "rule-places", title, .failed,
            "all \(used) locations are in use; delete rules that are not needed")
    } else if let capacity = table.capacity {
        let free = Int(capacity) - used
        list.add(
            "rule-places", title, free >= 1 ? .ok : .failed,
            "\(max(0, free)) of \(capacity) locations are free"
                + (free >= 1 ? "" : "; delete rules that are not needed"))
    } else {
        list.add("rule-places", title, .ok, "\(used) locations in use, capacity unknown")
    }
}

/// Checks whether rules take precedence over rules that lead to bound or reserved queues.
private func judgePrecedence(
    _ facts: NICFacts, _ precedence: RulePrecedence, _ list: inout CheckList
) {
    guard !facts.rules.isEmpty else { return }
    let title = "Order of flow rules"
    let queues = boundQueues(facts)
    let snapshot = NICSnapshot(
        driver: facts.device.driver, rings: RingSettings(headerSplit: nil, splitThreshold: nil),
        receiveQueues: [], contexts: (try? facts.contexts.get()) ?? [], ntuple: nil,
        ruleTable: nil, rules: facts.rules)
    var conflicts: [String] = []
    for rule in facts.rules where snapshot.leads(rule, onlyTo: queues) {
        guard let wanted = rule.rule else { continue }
        conflicts += RuleConflict.all(
            with: wanted, at: rule.location, in: snapshot, queues: queues
        ).filter { $0.winner != .wanted }.map { "of rule \(rule.location): \($0.text)" }
    }
    list.add(
        "rule-order", title, conflicts.isEmpty ? .ok : .warning,
        conflicts.isEmpty ? precedence.text : conflicts.joined(separator: "; "))
}

/// Returns the queues that are bound or reserved.
private func boundQueues(_ facts: NICFacts) -> Set<UInt32> {
    var queues: Set<UInt32> = []
    if case .success(let known) = facts.queues {
        queues.formUnion(known.filter { $0.holder != nil }.map(\.id))
    }
    switch facts.steering {
    case .success(.kept(_, let taken, _)), .success(.inUse(_, _, let taken)):
        queues.formUnion(taken)
    default: break
    }
    return queues
}

/// Checks whether steering would find a free queue.
func judgeFreeQueues(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Free receive queues"
    guard let queues = list.value(of: facts.queues, "free-queues", title),
        let contexts = list.value(of: facts.contexts, "free-queues", title)
    else { return }
    guard !queues.isEmpty else {
        list.add("free-queues", title, .unknown, "none while the interface is down")
        return
    }
    // A single queue is reported by the check of channels.
    guard queues.count >= 2 else { return }
    let held = queues.compactMap { queue in queue.holder.map { "queue \(queue.id) is \($0)" } }
    let suffix = held.isEmpty ? "" : "; " + held.joined(separator: ", ")
    if case .success(.kept(let name, let taken, _)) = facts.steering {
        list.add(
            "free-queues", title, .ok,
            "\(queueList(taken)) are reserved by \"\(name)\"\(suffix)")
        return
    }
    let snapshot = NICSnapshot(
        driver: facts.device.driver, rings: RingSettings(headerSplit: nil, splitThreshold: nil),
        receiveQueues: queues, contexts: contexts, ntuple: nil, ruleTable: nil,
        rules: facts.rules)
    let chooser = QueueChooser(
        snapshot: snapshot, interface: facts.device.interface.name, applied: nil)
    let free = chooser.free
    guard free.isEmpty else {
        list.add("free-queues", title, .ok, queueList(free) + suffix)
        return
    }
    let ways = queues.filter { $0.id != 0 }.map { QueueObstacle(of: $0, contexts, facts) }
    let reasons = ways.flatMap(\.reasons).reduce(into: [String]()) { seen, reason in
        if !seen.contains(reason) { seen.append(reason) }
    }
    list.add(
        "free-queues", title, .failed,
        "none of \(queueList(queues.map(\.id))): " + reasons.joined(separator: ", "),
        fix: ways.lazy.reversed().compactMap(\.command).first ?? moreQueues(facts))
}

/// Returns the command that adds one queue, if the NIC supports it.
private func moreQueues(_ facts: NICFacts) -> String? {
    guard case .success(let now?) = facts.channels, case .success(let limits?) = facts.channelLimits
    else { return nil }
    let name = facts.shownName
    if now.combined > 0 && now.combined < limits.combined {
        return "ethtool -L \(name) combined \(now.combined + 1)"
    }
    if now.rx > 0 && now.rx < limits.rx { return "ethtool -L \(name) rx \(now.rx + 1)" }
    return nil
}

/// The reasons why a queue is not free. Rules and contexts belong to other users, so no command
/// deletes them.
private struct QueueObstacle {
    var reasons: [String] = []
    /// The command that frees the queue; nil if only its user can.
    var command: String?

    init(of queue: QueueInfo, _ contexts: [RSSContext], _ facts: NICFacts) {
        let spreading = contexts.filter { $0.id != 0 && $0.indirection.contains(queue.id) }
        for context in spreading {
            reasons.append(
                "RSS context \(context.id) leads to queues \(queueList(context.indirection))")
        }
        for rule in facts.rules where rule.queue == queue.id {
            reasons.append("flow rule \(rule.location) leads to queue \(queue.id)")
        }
        guard let holder = queue.holder else { return }
        if reasons.isEmpty, queue.dmabufID != nil,
            case .success(.inUse(_, let pid?, let queues)) = facts.steering,
            queues.contains(queue.id)
        {
            command = "kill \(pid)"
        }
        reasons.insert("queue \(queue.id) is \(holder)", at: 0)
    }
}

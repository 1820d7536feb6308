/// Finds what led a flow's payload elsewhere than to the queues that device memory is bound to.
/// Pure.
///
/// - Parameters:
///   - flow: the connection as a rule, with every field that is known of it; it may also be the
///     rule that was wished for.
///   - queues: the queues that are bound.
///   - ours: the rules that were made for it, if some were.
///   - snapshot: the NIC's settings while the connection lasts or soon after.
/// - Returns: a sentence for each rule or setting, the likeliest first; none if all is as it should
///   be.
func strayReasons(
    of flow: FlowRule, queues: Set<UInt32>, ours: [SteeringChange.PlacedRule],
    in snapshot: NICSnapshot
) -> [String] {
    var reasons: [String] = []
    let lost = ours.filter { placed in
        !snapshot.rules.contains {
            $0.location == placed.location && $0.isSame(as: placed.rule)
        }
    }
    reasons += lost.map { "flow rule \($0.location) is gone: \($0.rule)" }
    if !snapshot.rulesWork {
        reasons.append("flow rules are off (\(SteeringFeature.flowRules.rawValue))")
    }
    reasons += ruleReasons(of: flow, queues, snapshot)
    switch snapshot.rings.headerSplit {
    case .off: reasons.append("header split is off")
    case .on, .unknown, nil: break
    }
    if let threshold = snapshot.rings.splitThreshold, threshold != 0 {
        reasons.append("packets of up to \(threshold) bytes are not split (hds-thresh)")
    }
    if snapshot.ntuple?.isActive == true, !snapshot.acceleratedQueues.isEmpty {
        reasons.append("accelerated RFS may have led it to another queue")
    }
    return reasons
}

private func ruleReasons(
    of flow: FlowRule, _ queues: Set<UInt32>, _ snapshot: NICSnapshot
) -> [String] {
    guard let match = flow.flowMatch else { return [] }
    let taking = snapshot.rules.filter { $0.flowMatch.overlaps(match) }
    let right = taking.filter { snapshot.leads($0, onlyTo: queues) }
    let wrong = taking.filter { !snapshot.leads($0, onlyTo: queues) }
    guard !right.isEmpty else {
        let others = wrong.map { "flow rule \($0.location) leads it elsewhere: \($0.text)" }
        return others.isEmpty
            ? ["no flow rule leads it to queue \(queueList(queues.sorted()))"] : others
    }
    return wrong.compactMap { other in
        let winners = right.map {
            snapshot.precedence.winner($0.specification, at: $0.location, against: other)
        }
        if winners.contains(.wanted) { return nil }
        return winners.contains(.unknown)
            ? "flow rule \(other.location) may go first and lead it elsewhere: \(other.text)"
            : "flow rule \(other.location) goes first and leads it elsewhere: \(other.text)"
    }
}

/// A rule that matches packets which another rule shall lead to certain queues, and leads them
/// elsewhere.
package struct RuleConflict: Equatable {
    /// Which of the two a NIC obeys.
    package enum Winner: Equatable {
        case wanted, other, unknown
    }

    /// The rule that leads elsewhere.
    let other: InstalledRule
    /// Which one goes first.
    package let winner: Winner
    /// Whether it matches all that the wanted rule does.
    let takesAll: Bool
    /// Whether it matches exactly what the wanted rule does.
    let isSame: Bool

    /// Finds the rules in the way of one. Pure.
    ///
    /// - Parameters:
    ///   - wanted: the rule.
    ///   - location: where it lies or would lie; nil if that is not known.
    ///   - snapshot: the rules there are, with the contexts that they lead to.
    ///   - queues: where it is no harm to be led to.
    /// - Returns: a conflict for each, by location.
    package static func all(
        with wanted: FlowRule, at location: UInt32?, in snapshot: NICSnapshot,
        queues: Set<UInt32>
    ) -> [RuleConflict] {
        guard let bytes = try? FlowSpec.encode(wanted.aimed(at: .queue(0)), location: 0) else {
            return []
        }
        let match = FlowMatch(specification: bytes)
        return snapshot.rules.compactMap { other in
            guard other.location != location, !snapshot.leads(other, onlyTo: queues) else {
                return nil
            }
            let otherMatch = other.flowMatch
            guard match.overlaps(otherMatch) else { return nil }
            return RuleConflict(
                other: other,
                winner: snapshot.precedence.winner(bytes, at: location, against: other),
                takesAll: otherMatch.contains(match),
                isSame: other.matchesSame(as: wanted))
        }
    }

    /// Finds the rule that took the packets of a stream which rules of ours did not get. Pure.
    ///
    /// - Parameters:
    ///   - rules: those that should have led it to the queues.
    ///   - snapshot: the rules there are.
    ///   - queues: where the stream should have come.
    /// - Returns: the likeliest one: that goes first rather than may, and takes all rather than
    ///   part; nil if there is none.
    static func culprit(
        against rules: [SteeringChange.PlacedRule], in snapshot: NICSnapshot, queues: Set<UInt32>
    ) -> RuleConflict? {
        let conflicts = rules.flatMap {
            all(with: $0.rule, at: $0.location, in: snapshot, queues: queues)
        }
        return conflicts.filter { $0.winner != .wanted }.max { $0.likelihood < $1.likelihood }
    }

    private var likelihood: Int { (winner == .other ? 2 : 0) + (takesAll ? 1 : 0) }

    /// It in a sentence.
    package var text: String {
        let rule = "flow rule \(other.location)"
        let share = takesAll ? "all" : "part"
        if isSame && winner == .unknown {
            return "\(rule) has the same match but leads elsewhere: \(other.text)"
        }
        return switch winner {
        case .other:
            "\(rule) takes precedence and leads \(share) of the flow elsewhere: \(other.text)"
        case .wanted:
            "\(rule) also matches \(share) of the flow, at lower precedence: \(other.text)"
        case .unknown:
            "\(rule) also matches \(share) of the flow and leads it elsewhere if it takes "
                + "precedence, which is not known: \(other.text)"
        }
    }
}

extension RulePrecedence {
    /// Which goes first: a rule at a location, or one that is installed. Pure.
    func winner(
        _ wanted: [UInt8], at location: UInt32?, against other: InstalledRule
    ) -> RuleConflict.Winner {
        switch self {
        case .unknown: return .unknown
        case .lowestLocation:
            guard let location else { return .unknown }
            return location < other.location ? .wanted : .other
        case .mostFields:
            let ours = FlowSpec.fieldCount(wanted) ?? 0
            let theirs = FlowSpec.fieldCount(other.specification) ?? 0
            // Of as many, the one of the older group of the flow table, which is not shown.
            return ours == theirs ? .unknown : ours > theirs ? .wanted : .other
        }
    }
}

extension NICSnapshot {
    /// Which of overlapping rules the NIC obeys.
    var precedence: RulePrecedence { RulePrecedence(driver: driver) }

    /// Whether packets that a rule matches get to these queues and to no others.
    package func leads(_ rule: InstalledRule, onlyTo queues: Set<UInt32>) -> Bool {
        if let queue = rule.queue { return queues.contains(queue) }
        guard let id = rule.context, let offset = rule.queueOffset,
            let context = contexts.first(where: { $0.id == id }), !context.indirection.isEmpty
        else { return false }
        return queues.isSuperset(of: context.indirection.map { $0 &+ offset })
    }
}

/// An installed rule that overlaps a wanted rule and directs packets to other queues.
package struct RuleConflict: Equatable {
    /// Which of the two rules the NIC applies.
    package enum Winner: Equatable {
        case wanted, other, unknown
    }

    /// The installed rule.
    let other: InstalledRule
    /// Which rule takes precedence.
    package let winner: Winner
    /// Whether the installed rule matches everything that the wanted one matches.
    let coversWholeFlow: Bool
    /// Whether both match exactly the same packets.
    let isSame: Bool

    /// Finds the installed rules that conflict with a rule. Pure.
    ///
    /// - Parameters:
    ///   - wanted: the rule.
    ///   - location: its present or future location; nil if unknown.
    ///   - snapshot: the installed rules and the contexts that they refer to.
    ///   - queues: the queues to which an installed rule may direct without conflict.
    /// - Returns: the conflicts, by location.
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
                coversWholeFlow: otherMatch.contains(match),
                isSame: other.matchesSame(as: wanted))
        }
    }

    /// Finds the installed rule that most likely took the packets of a stream away from our rules.
    /// Pure.
    ///
    /// - Parameters:
    ///   - rules: the rules that should have directed the stream to the queues.
    ///   - snapshot: the installed rules.
    ///   - queues: the queues where the stream should have arrived.
    /// - Returns: the likeliest conflict, preferring a rule that certainly takes precedence and one
    ///   that takes the whole flow; nil if there is none.
    static func likeliestConflict(
        against rules: [SteeringChange.PlacedRule], in snapshot: NICSnapshot, queues: Set<UInt32>
    ) -> RuleConflict? {
        let conflicts = rules.flatMap {
            all(with: $0.rule, at: $0.location, in: snapshot, queues: queues)
        }
        return conflicts.filter { $0.winner != .wanted }.max { $0.likelihood < $1.likelihood }
    }

    private var likelihood: Int { (winner == .other ? 2 : 0) + (coversWholeFlow ? 1 : 0) }

    /// The conflict as a sentence.
    package var text: String {
        let rule = "flow rule \(other.location)"
        let share = coversWholeFlow ? "all" : "part"
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
    /// Returns which rule takes precedence: one at a location or an installed one. Pure.
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
            // With as many fields, the older group in the driver's flow table wins, and that is not
            // visible.
            return ours == theirs ? .unknown : ours > theirs ? .wanted : .other
        }
    }
}

extension NICSnapshot {
    /// How the NIC orders overlapping rules.
    var precedence: RulePrecedence { RulePrecedence(driver: driver) }

    /// Returns whether all packets that a rule matches go to these queues.
    package func leads(_ rule: InstalledRule, onlyTo queues: Set<UInt32>) -> Bool {
        if let queue = rule.queue { return queues.contains(queue) }
        guard let id = rule.context, let offset = rule.queueOffset,
            let context = contexts.first(where: { $0.id == id }), !context.indirection.isEmpty
        else { return false }
        return queues.isSuperset(of: context.indirection.map { $0 &+ offset })
    }
}

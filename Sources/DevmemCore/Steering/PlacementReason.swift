import SystemPackage

/// The known facts about a stream whose payload arrived outside device memory.
package struct MisplacedStream: Equatable {
    /// Whether the peer is this host itself.
    var isLocal = false
    /// The NAPI instance that received its packets; nil if the kernel does not report it.
    var napiID: UInt32?
    /// Whether all of that payload came in the packets' linear part.
    var isLinear = false
    /// The peer's source port, if known.
    var peerPort: UInt16?
    /// When the stream began, if known.
    var began: ContinuousClock.Instant?
}

/// Explains why payload arrived outside device memory, as far as the NIC's present settings show
/// it. Pure.
package struct PlacementReason {
    let snapshot: NICSnapshot
    /// The steering that the NIC has lost.
    var losses: [SteeringLoss] = []
    /// The steering that it lost and regained during the stream.
    var renewals: [SteeringReapplication] = []
    /// The rules that steer the stream.
    var rules: [SteeringChange.PlacedRule] = []
    /// The queues bound to the memory, and what provides it.
    let queues: [UInt32]
    let provider: QueueProvider

    /// Returns the reason as a sentence without a full stop.
    func text(for stream: MisplacedStream) -> String {
        if stream.isLocal {
            return "the peer is this host, and packets to itself do not pass through a NIC"
        }
        if let loss = losses.first { return loss.text }
        if let text = settingText { return text }
        if stream.isLinear { return "the NIC left it with the packets' headers" }
        if let text = portText(stream.peerPort) { return text }
        let arrival = arrivalQueue(stream.napiID)
        // A stream on an unbound queue now has its cause there, whatever was lost earlier.
        if arrival.map(queues.contains) ?? true, let text = renewalText(since: stream.began) {
            return text
        }
        if let text = rivalText(arrival) { return text }
        guard let napi = stream.napiID else { return unknown }
        guard let arrival else {
            return "its packets came through NAPI instance \(napi), which serves no queue of this "
                + "NIC: they use another NIC"
        }
        guard queues.contains(arrival) else {
            return
                "its packets came through queue \(arrival), which is not bound, and no flow rule leads "
                + "there: the NIC does not follow its rules, or aRFS or the driver has a rule of its "
                + "own"
        }
        return "its packets came through queue \(arrival), which is bound, and the NIC did not "
            + "split them"
    }

    /// Returns the reason that `reading` finds, or a sentence if it throws: the NIC may be gone or
    /// in a reset.
    package static func text(reading: () throws(DevmemError) -> String) -> String {
        do throws(DevmemError) {
            return try reading()
        } catch {
            return "the cause is unknown, because the NIC's settings cannot be read"
        }
    }

    /// Returns the reason if every rule names a source port other than the peer's.
    private func portText(_ port: UInt16?) -> String? {
        guard let port, !rules.isEmpty,
            rules.allSatisfy({ $0.rule.sourcePort.map { $0 != port } ?? false })
        else { return nil }
        return "the peer connected from port \(port), and the rules match another"
    }

    private func renewalText(since began: ContinuousClock.Instant?) -> String? {
        let during = renewals.last { renewal in began.map { renewal.moment >= $0 } ?? true }
        return during.map { "steering was lost for a while (\($0.loss))" }
    }

    private var unknown: String {
        "the cause is unknown: no rule or setting of the NIC explains it"
    }

    private var settingText: String? {
        if let split = snapshot.rings.headerSplit, split == .off {
            return "tcp-data-split is off"
        }
        if let threshold = snapshot.rings.splitThreshold, threshold != 0 {
            return "hds-thresh is \(threshold), so shorter packets are not split"
        }
        let bound = snapshot.receiveQueues.filter { provider.provides(for: $0) }.map(\.id)
        let unbound = Set(queues).subtracting(bound)
        if !snapshot.receiveQueues.isEmpty && !unbound.isEmpty {
            return "queue \(queueList(Array(unbound))) is no longer bound to the memory"
        }
        let hasRuleToQueues = snapshot.rules.contains { leads($0, to: queues) }
        if rules.isEmpty && !queues.isEmpty && !hasRuleToQueues {
            return "no flow rule leads to queue \(queueList(queues))"
        }
        return nil
    }

    /// Returns whether a rule directs packets to one of the queues, by itself or through a context.
    private func leads(_ rule: InstalledRule, to queues: [UInt32]) -> Bool {
        if let queue = rule.queue { return queues.contains(queue) }
        guard let id = rule.context else { return false }
        return snapshot.contexts.first { $0.id == id }?.indirection.contains(where: queues.contains)
            ?? false
    }

    /// Returns the receive queue that a NAPI instance serves; a bound one if it serves several.
    private func arrivalQueue(_ napiID: UInt32?) -> UInt32? {
        guard let napiID else { return nil }
        let served = snapshot.receiveQueues.filter { $0.napiID == napiID }.map(\.id)
        return served.first(where: queues.contains) ?? served.first
    }

    /// Names another's rule that takes the stream: one that directs to the arrival queue or, if
    /// that is unknown, one that matches the same packets.
    private func rivalText(_ arrival: UInt32?) -> String? {
        guard let arrival else {
            return RuleConflict.likeliestConflict(
                against: rules, in: snapshot, queues: Set(queues))?.text
        }
        guard !queues.contains(arrival) else { return nil }
        let mine = Set(rules.map(\.location))
        let rival = snapshot.rules.first { rule in
            !mine.contains(rule.location) && leads(rule, to: [arrival])
        }
        return rival.map { "flow rule \($0.location) leads it elsewhere: \($0.text)" }
    }
}

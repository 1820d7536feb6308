import SystemPackage

/// What is known of a stream of which payload came outside device memory.
package struct MisplacedStream: Equatable {
    /// Whether the peer is this host itself.
    var isLocal = false
    /// The NAPI instance that its packets come through; nil if the kernel does not tell.
    var napiID: UInt32?
    /// Whether all of that payload came in packets' heads.
    var isLinear = false
    /// The port that the peer sent from; nil if it is not known.
    var peerPort: UInt16?
    /// When it began; nil if that is not known.
    var began: ContinuousClock.Instant?
}

/// Says why payload came outside device memory, as far as a NIC's present settings tell. Pure.
package struct PlacementReason {
    let snapshot: NICSnapshot
    /// What the NIC has lost of its steering.
    var losses: [SteeringLoss] = []
    /// What it had lost while the stream lasted, and has again.
    var renewals: [SteeringRenewal] = []
    /// The rules that steer the stream.
    var rules: [SteeringChange.PlacedRule] = []
    /// The queues that memory is bound to, and the number of the binding.
    let queues: [UInt32]
    let bindingID: UInt32

    /// A sentence without a full stop.
    func text(for stream: MisplacedStream) -> String {
        if stream.isLocal {
            return "the peer is this host, and packets to itself do not pass through a NIC"
        }
        if let loss = losses.first { return loss.text }
        if let text = settingText { return text }
        if stream.isLinear { return "the NIC left it with the packets' headers" }
        if let text = portText(stream.peerPort) { return text }
        let arrival = arrivalQueue(stream.napiID)
        // One that comes elsewhere now does so whatever was lost before.
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

    /// Reads the reason of a stream's payload, as a NIC may be gone or in a reset.
    package static func text(reading: () throws(DevmemError) -> String) -> String {
        do throws(DevmemError) {
            return try reading()
        } catch {
            return "the cause is unknown, because the NIC's settings cannot be read"
        }
    }

    /// No rule is for a peer that comes from another port than each of them names.
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
        let bound = snapshot.receiveQueues.filter { $0.dmabufID == bindingID }.map(\.id)
        let unbound = Set(queues).subtracting(bound)
        if !snapshot.receiveQueues.isEmpty && !unbound.isEmpty {
            return "queue \(queueList(Array(unbound))) is no longer bound to the memory"
        }
        let isFed = snapshot.rules.contains { leads($0, to: queues) }
        if rules.isEmpty && !queues.isEmpty && !isFed {
            return "no flow rule leads to queue \(queueList(queues))"
        }
        return nil
    }

    /// Whether a rule leads to one of some queues, by itself or through a context.
    private func leads(_ rule: InstalledRule, to queues: [UInt32]) -> Bool {
        if let queue = rule.queue { return queues.contains(queue) }
        guard let id = rule.context else { return false }
        return snapshot.contexts.first { $0.id == id }?.indirection.contains(where: queues.contains)
            ?? false
    }

    /// The receive queue that a NAPI instance serves; a bound one if it serves several.
    private func arrivalQueue(_ napiID: UInt32?) -> UInt32? {
        guard let napiID else { return nil }
        let served = snapshot.receiveQueues.filter { $0.napiID == napiID }.map(\.id)
        return served.first(where: queues.contains) ?? served.first
    }

    /// The rule of others that takes the stream: it leads where the packets came, or, where that is not
    /// known, it matches them.
    private func rivalText(_ arrival: UInt32?) -> String? {
        guard let arrival else {
            return RuleConflict.culprit(against: rules, in: snapshot, queues: Set(queues))?.text
        }
        guard !queues.contains(arrival) else { return nil }
        let mine = Set(rules.map(\.location))
        let rival = snapshot.rules.first { rule in
            !mine.contains(rule.location) && leads(rule, to: [arrival])
        }
        return rival.map { "flow rule \($0.location) leads it elsewhere: \($0.text)" }
    }
}

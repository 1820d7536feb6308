import SystemPackage

/// Chooses receive queues for device memory, or explains why it cannot.
package struct QueueChooser {
    let snapshot: NICSnapshot
    let interface: String
    /// The applied steering to choose within; nil if there is none.
    let applied: SteeringPlan.Applied?
    /// Whether other RSS contexts may include the queues too.
    var sharesContexts = false

    package init(
        snapshot: NICSnapshot, interface: String, applied: SteeringPlan.Applied?,
        sharesContexts: Bool = false
    ) {
        self.snapshot = snapshot
        self.interface = interface
        self.applied = applied
        self.sharesContexts = sharesContexts
    }

    private var call: String { "choose queues of \(interface)" }
    private var ids: [UInt32] { snapshot.receiveQueues.map(\.id).sorted() }

    func choose(_ choice: QueueChoice) throws(DevmemError) -> [UInt32] {
        guard !ids.isEmpty else {
            throw DevmemError(
                .invalid, call: call, message: "it has no queues while it is down",
                advice: "ip link set \(shellWord(interface)) up")
        }
        switch choice {
        case .list(let queues): return try check(queues)
        case .last(let count): return try check(ids.suffix(count))
        case .automatic(let count): return try choose(count)
        }
    }

    private func check(_ wanted: [UInt32]) throws(DevmemError) -> [UInt32] {
        let chosen = Set(wanted).sorted()
        guard !chosen.isEmpty else {
            throw DevmemError(.invalid, call: call, message: "the list is empty")
        }
        if let missing = chosen.first(where: { !ids.contains($0) }) {
            throw DevmemError(
                .invalid, call: call,
                message: "there is no receive queue \(missing), only \(queueList(ids))",
                advice: "choose one of them, or add more with ethtool -L \(shellWord(interface))")
        }
        guard chosen.count < ids.count else {
            throw DevmemError(
                .invalid, call: call,
                message: "no queue of \(queueList(ids)) would be left for other traffic",
                advice: "leave one out, or add more with ethtool -L \(shellWord(interface))")
        }
        for queue in chosen {
            guard let obstacle = obstacle(of: queue) else { continue }
            throw DevmemError(
                .invalid, call: call, errno: obstacle.errno, message: obstacle.message,
                advice: obstacle.advice)
        }
        return chosen
    }

    /// Chooses the highest-numbered queues that nothing else uses; with applied steering, its
    /// queues.
    private func choose(_ count: Int) throws(DevmemError) -> [UInt32] {
        if let applied {
            guard applied.queues.count >= count else {
                throw DevmemError(
                    .invalid, call: call, errno: .resourceBusy,
                    message:
                        "\(count) wanted, but it is steered to \(queueList(applied.queues))",
                    advice: "request as many, or \(AdvisedCommand(.restore, interface))")
            }
            return try check(applied.queues)
        }
        let free = free
        let candidates =
            snapshot.dmaGroups.isEmpty
            ? [free] : snapshot.dmaGroups.map { group in free.filter(group.contains) }
        let fitting = candidates.filter { $0.count >= count }
            .max { ($0.last ?? 0) < ($1.last ?? 0) }
        guard let fitting, ids.count > count else {
            throw DevmemError(
                .invalid, call: call, errno: .resourceBusy,
                message: "\(count) wanted, but of \(queueList(ids)) "
                    + (free.isEmpty ? "none is free" : "only \(queueList(free)) is free")
                    + (free.count >= count ? ", on different DMA devices" : "")
                    + (obstacle(of: ids[ids.count - 1]).map { "; \($0.message)" } ?? ""),
                advice: .any(
                    "choose them with \(.queues)",
                    "add more with ethtool -L \(shellWord(interface))"))
        }
        return fitting.suffix(count)
    }

    /// Describes chosen queues that are on different DMA devices, which one binding cannot span,
    /// and proposes others; nil if all are on one.
    func deviceMismatch(of chosen: [UInt32]) -> String? {
        let groups = snapshot.dmaGroups.filter { !$0.filter(chosen.contains).isEmpty }
        guard groups.count > 1 else { return nil }
        let free = free + chosen
        let better = snapshot.dmaGroups
            .map { group in Array(Set(free.filter(group.contains)).sorted().suffix(chosen.count)) }
            .filter { $0.count == chosen.count }.max { ($0.last ?? 0) < ($1.last ?? 0) }
        return "queues \(queueList(chosen)) are on \(groups.count) DMA devices, and a binding "
            + "cannot span several"
            + (better.map { "; \(Advice.Parameter.queues) \(queueList($0)) would do" } ?? "")
    }

    /// The queues that nothing else uses, ascending; never queue 0.
    package var free: [UInt32] {
        let aimedAt = Set(snapshot.rules.compactMap(\.queue))
        return ids.filter { $0 != 0 && !aimedAt.contains($0) && obstacle(of: $0) == nil }
    }

    private struct Obstacle {
        var errno: Errno?
        var message: String
        var advice: Advice
    }

    /// Returns why a queue cannot be bound; nil if no obstacle is known.
    private func obstacle(of id: UInt32) -> Obstacle? {
        if let queue = snapshot.receiveQueues.first(where: { $0.id == id }),
            let holder = queue.holder
        {
            return Obstacle(
                errno: .resourceBusy, message: "queue \(id) is \(holder)",
                advice: .any(
                    "choose another with \(.queues)",
                    queue.lease == nil
                        ? "end the process that holds it" : "bind through that interface"))
        }
        if id == 0 && snapshot.driver == "gve" {
            return Obstacle(
                errno: .outOfRange, message: "gve cannot stop queue 0 while it is up",
                advice: "choose another with \(.queues)")
        }
        let others = snapshot.contexts.filter { context in
            !sharesContexts && context.id != 0 && applied?.contexts.contains(context.id) != true
        }
        if let context = others.first(where: { $0.indirection.contains(id) }) {
            return Obstacle(
                errno: nil, message: "RSS context \(context.id) leads to queue \(id)",
                advice:
                    "choose another, or ethtool -X \(shellWord(interface)) context \(context.id) delete"
            )
        }
        return nil
    }
}

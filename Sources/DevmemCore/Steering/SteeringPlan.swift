import SystemPackage

/// A list of changes that gives a NIC's user what he wishes, and the queues that it takes.
public struct SteeringPlan: Equatable, Sendable {
    /// The queues to bind, ascending.
    public var queues: [UInt32]
    /// The changes, to be made in this order and reversed in the opposite one.
    public var changes: [SteeringChange] = []
    /// What is no hindrance but worth knowing, a sentence each.
    public var notes: [String] = []

    /// What steering that stays applied has made of a NIC, for those who use it.
    struct Applied: Equatable {
        var queues: [UInt32]
        /// The RSS contexts that it made.
        var contexts: [UInt32]
    }

    /// Makes a plan of changes that are known.
    init(queues: [UInt32], changes: [SteeringChange]) {
        self.queues = queues
        self.changes = changes
    }

    /// Works out what to change. Pure: nothing is asked of the kernel.
    ///
    /// - Throws: `DevmemError` of kind `invalid` or `unsupported` if the wish cannot be met; the
    ///   kernel's conditions are in `netif_mp_open_rxq` of net/core/netdev_rx_queue.c.
    public init(
        for wish: SteeringWish, on snapshot: NICSnapshot, interface name: String
    ) throws(DevmemError) {
        try self.init(for: wish, on: snapshot, interface: name, applied: nil)
    }

    init(
        for wish: SteeringWish, on snapshot: NICSnapshot, interface name: String, applied: Applied?
    ) throws(DevmemError) {
        let choice = QueueChooser(
            snapshot: snapshot, interface: name, applied: applied,
            sharesContexts: wish.sharesContexts)
        queues = try choice.choose(wish.queues)
        if let mixture = choice.mixture(of: queues) { notes.append(mixture) }
        try Self.refuseXDP(snapshot, name)
        try planHeaderSplit(
            snapshot, name, after: wish.splitsHeaders ? .on : .unknown, isSet: applied != nil)
        planTable(snapshot, style: wish.table)
        try planRules(for: wish, snapshot, name)
    }

    /// The lines of shell with ethtool(8) that do what the plan does.
    ///
    /// - Parameters:
    ///   - interface: the NIC's name.
    ///   - snapshot: what the plan was made for.
    /// - Returns: a line each; some are comments.
    public func ethtoolLines(for interface: String, on snapshot: NICSnapshot) -> [String] {
        EthtoolLines(self, interface: interface, ruleTable: snapshot.ruleTable).lines
    }

    private static func refuseXDP(
        _ snapshot: NICSnapshot, _ name: String
    ) throws(DevmemError) {
        guard let program = snapshot.xdpProgram else { return }
        throw DevmemError(
            .invalid, call: "take queues of \(name)", errno: .fileExists,
            message: "it has an XDP program" + (program == 0 ? "" : ", id \(program)"),
            advice: "detach it: ip link set \(name) xdp off")
    }

    private mutating func planHeaderSplit(
        _ snapshot: NICSnapshot, _ name: String, after: HeaderSplit, isSet: Bool
    ) throws(DevmemError) {
        guard let split = snapshot.rings.headerSplit else {
            throw DevmemError(
                .unsupported, call: "turn header split on for \(name)",
                message: "the driver has no tcp-data-split setting",
                advice: "device memory needs a NIC with header split")
        }
        if after == .on {
            if snapshot.neededGRO.map({ !$0.isActive && !$0.isChangeable }) == true {
                throw DevmemError(
                    .unsupported, call: "turn header split on for \(name)",
                    message: "the driver splits headers only with rx-gro-hw, "
                        + "and does not offer that",
                    advice: "device memory needs a NIC with header split")
            }
            changes += snapshot.changesBeforeSplit
        }
        if split != after || !isSet {
            changes.append(.headerSplit(before: split, after: after))
        }
        if let threshold = snapshot.rings.splitThreshold, threshold != 0 {
            changes.append(.splitThreshold(before: threshold, after: 0))
        }
    }

    private mutating func planTable(_ snapshot: NICSnapshot, style: TableStyle) {
        let before = snapshot.indirection
        let taken = Set(queues)
        if before.isEmpty {
            notes.append(
                "the driver has no RSS table: other traffic may arrive on queue "
                    + "\(queueList(queues)) too, and what reads it must know device memory")
        }
        guard !taken.isDisjoint(with: before) else { return }
        let count = snapshot.receiveQueues.count
        let after =
            switch style {
            case .minimal:
                Self.indirection(before, without: taken, queueCount: UInt32(count))
            case .even:
                evenIndirection(
                    slots: before.count,
                    over: snapshot.receiveQueues.map(\.id).filter { !taken.contains($0) }.sorted())
            }
        changes.append(
            .indirection(
                before: before, after: after,
                isDefault: before == defaultIndirection(slots: before.count, queues: count)))
    }

    /// Moves the slots that point at taken queues to the queues that the table uses besides, in
    /// turn; every other slot stays.
    static func indirection(
        _ table: [UInt32], without taken: Set<UInt32>, queueCount: UInt32
    ) -> [UInt32] {
        var targets = Set(table).subtracting(taken).sorted()
        if targets.isEmpty { targets = (0..<queueCount).filter { !taken.contains($0) } }
        guard !targets.isEmpty else { return table }
        var turn = 0
        return table.map { queue in
            guard taken.contains(queue) else { return queue }
            defer { turn += 1 }
            return targets[turn % targets.count]
        }
    }

    private mutating func planRules(
        for wish: SteeringWish, _ snapshot: NICSnapshot, _ name: String
    ) throws(DevmemError) {
        guard !wish.flows.isEmpty else { return }
        let call = "steer flows on \(name)"
        guard let ntuple = snapshot.ntuple, ntuple.isActive || ntuple.isChangeable,
            let table = snapshot.ruleTable
        else {
            throw DevmemError(
                .unsupported, call: call,
                message: "the driver has no flow rules (\(SteeringFeature.flowRules.rawValue))",
                advice: "device memory needs a NIC that steers flows to queues")
        }
        guard wish.spread != .oneToOne || wish.flows.count <= queues.count else {
            throw DevmemError(
                .invalid, call: call,
                message: "\(wish.flows.count) flows are more than queues \(queueList(queues))",
                advice: "take more queues, or spread them another way")
        }
        var rules: [SteeringChange] = []
        for (number, flow) in wish.flows.enumerated() {
            let target: RuleTarget =
                wish.spread == .rssContext
                ? .newContext : .queue(queues[number % queues.count])
            for alternatives in flow.families
            where !isCovered(alternatives, by: snapshot, spread: wish.spread) {
                if let narrowest = alternatives.first { noteRival(of: narrowest, snapshot) }
                rules.append(.addRule(alternatives.map { $0.aimed(at: target) }, installed: nil))
            }
        }
        noteOthers(snapshot, wish)
        if let capacity = table.capacity, Int(capacity) < table.locations.count + rules.count {
            throw DevmemError(
                .unsupported, call: call, errno: .noSpace,
                message: "its table has \(capacity) places, \(table.locations.count) are in use, "
                    + "and \(rules.count) are needed",
                advice: "delete rules that are no longer needed: ethtool -N \(name) delete N")
        }
        if !ntuple.isActive {
            changes.append(.feature(.flowRules, wasWanted: ntuple.isWanted))
        }
        if wish.spread == .rssContext && !rules.isEmpty {
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

    /// Whether a rule that is there already does what one of these would.
    private func isCovered(
        _ alternatives: [FlowRule], by snapshot: NICSnapshot, spread: FlowSpread
    ) -> Bool {
        guard snapshot.ntuple?.isActive == true else { return false }
        let taken = Set(queues)
        return snapshot.rules.contains { installed in
            guard alternatives.contains(where: installed.matchesSame) else { return false }
            if let queue = installed.queue { return taken.contains(queue) }
            guard let id = installed.context,
                let context = snapshot.contexts.first(where: { $0.id == id })
            else { return false }
            return !context.indirection.isEmpty && taken.isSuperset(of: context.indirection)
        }
    }

    private mutating func noteRival(of rule: FlowRule, _ snapshot: NICSnapshot) {
        for rival in snapshot.rules where rival.matchesSame(as: rule) {
            notes.append(
                "flow rule \(rival.location) matches the same but leads elsewhere: \(rival.text)")
        }
    }

    private mutating func noteOthers(_ snapshot: NICSnapshot, _ wish: SteeringWish) {
        let wanted = wish.flows.flatMap(\.families).joined()
        for other in snapshot.rules {
            guard let queue = other.queue, queues.contains(queue),
                !wanted.contains(where: other.matchesSame)
            else { continue }
            notes.append("flow rule \(other.location) leads to queue \(queue) too: \(other.text)")
        }
    }
}

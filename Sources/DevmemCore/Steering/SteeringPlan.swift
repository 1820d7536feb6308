import SystemPackage

/// The changes that meet a steering request, and the queues that it uses.
package struct SteeringPlan: Equatable, Sendable {
    /// The queues to bind, ascending.
    package var queues: [UInt32]
    /// The changes, in the order in which they are made; they are undone in reverse.
    package var changes: [SteeringChange] = []
    /// Remarks that are worth knowing but stop nothing, a sentence each.
    package var notes: [String] = []

    /// What applied steering did to a NIC, for those who use it.
    package struct Applied: Equatable {
        package var queues: [UInt32]
        /// The RSS contexts that it created.
        package var contexts: [UInt32]

        package init(queues: [UInt32], contexts: [UInt32]) {
            self.queues = queues
            self.contexts = contexts
        }
    }

    /// Creates a plan of given changes.
    init(queues: [UInt32], changes: [SteeringChange]) {
        self.queues = queues
        self.changes = changes
    }

    /// Plans the changes. Pure: it does not access the kernel.
    ///
    /// - Throws: `DevmemError` of kind `invalid` or `unsupported` if the request cannot be met; the
    ///   kernel's conditions are in `netif_mp_open_rxq` of net/core/netdev_rx_queue.c.
    package init(
        for request: SteeringRequest, on snapshot: NICSnapshot, interface name: String
    ) throws(DevmemError) {
        try self.init(for: request, on: snapshot, interface: name, applied: nil)
    }

    init(
        for request: SteeringRequest, on snapshot: NICSnapshot, interface name: String,
        applied: Applied?
    ) throws(DevmemError) {
        let choice = QueueChooser(
            snapshot: snapshot, interface: name, applied: applied,
            sharesContexts: request.sharesContexts)
        queues = try choice.choose(request.queues)
        if let mismatch = choice.deviceMismatch(of: queues) { notes.append(mismatch) }
        try Self.refuseXDP(snapshot, name)
        try planHeaderSplit(
            snapshot, name, after: request.splitsHeaders ? .on : .unknown, isSet: applied != nil)
        planTable(snapshot, style: request.table)
        try planRules(for: request, snapshot, name)
    }

    /// Returns the ethtool(8) shell commands that have the effect of the plan.
    ///
    /// - Parameters:
    ///   - interface: the NIC's name.
    ///   - snapshot: the snapshot that the plan was made for.
    /// - Returns: the lines; some are comments.
    package func ethtoolCommands(for interface: String, on snapshot: NICSnapshot) -> [String] {
        EthtoolCommands(self, interface: interface, ruleTable: snapshot.ruleTable).lines
    }

    private static func refuseXDP(
        _ snapshot: NICSnapshot, _ name: String
    ) throws(DevmemError) {
        guard let program = snapshot.xdpProgram else { return }
        throw DevmemError(
            .invalid, call: "choose queues of \(name)", errno: .fileExists,
            message: "it has an XDP program" + (program == 0 ? "" : ", id \(program)"),
            advice: "detach it: ip link set \(shellWord(name)) xdp off")
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
                        + "and does not support that",
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
                    + "\(queueList(queues)) too, where ordinary programs cannot read it")
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

    /// Returns a table in which the slots of taken queues go round-robin to the other queues of the
    /// table; all other slots stay.
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
}

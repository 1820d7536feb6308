/// How the main RSS table is restored, even if it and the channels have changed meanwhile. Pure.
///
/// Whether a user set a table cannot be read (`netif_is_rxfh_configured` of net/ethtool/common.c):
/// a request that reveals it would clear the mark or change the channels. So a table that equals
/// the kernel's default is taken for the default and reset, because a default follows the number of
/// channels and a written table does not. A device's own default that differs is written back; only
/// its mark is then wrong.
struct TableRestoration: Equatable {
    /// Whether to request the default instead of writing the goal.
    let resets: Bool
    /// The table to write; entries that others changed stay.
    let goal: [UInt32]
    /// The results to report.
    let outcomes: [SteeringJournal.Outcome]

    /// Compares the tables entry by entry.
    ///
    /// - Parameters:
    ///   - before: the table before the change.
    ///   - after: the table that was written.
    ///   - isDefault: whether `before` equals the kernel's default.
    ///   - now: the present table, possibly of another size.
    ///   - taken: the queues that the change was made for.
    ///   - queueCount: the present number of receive queues, if known.
    init(
        before: [UInt32], after: [UInt32], isDefault: Bool, now: [UInt32], taken: [UInt32],
        queueCount: Int?
    ) {
        let ours = Self.fit(after, to: now.count)
        var wanted = Self.fit(before, to: now.count)
        if isDefault, let queueCount, queueCount > 0 {
            wanted = defaultIndirection(slots: now.count, queues: queueCount)
        }
        var goal = now
        var foreign = 0
        var gone = 0
        for slot in now.indices where now[slot] != wanted[slot] {
            if now[slot] != ours[slot] {
                foreign += 1
            } else if queueCount.map({ Int(wanted[slot]) >= $0 }) == true {
                gone += 1
            } else {
                goal[slot] = wanted[slot]
            }
        }
        // The written table may equal the default of the present number of queues.
        resets = isDefault && foreign == 0 && gone == 0
        self.goal = goal
        var words: [String] = []
        if foreign > 0 { words.append("\(foreign) RSS table entries were changed meanwhile") }
        if gone > 0 {
            words.append(
                "\(gone) RSS table entries led to queues that are gone, and were redirected")
        }
        if now.count != before.count && !isDefault {
            words.append(
                "the RSS table has \(now.count) entries, not \(before.count); its pattern is "
                    + (now.count > before.count ? "repeated" : "shortened"))
        }
        let left = Set(taken).intersection(before).subtracting(resets ? wanted : goal)
            .filter { queue in queueCount.map { Int(queue) < $0 } ?? true }
        if !left.isEmpty {
            words.append("the RSS table no longer leads to queue \(queueList(left.sorted()))")
        }
        var outcomes = words.map { SteeringJournal.Outcome.leftAlone($0) }
        if resets || goal != now {
            outcomes.insert(
                .restored(isDefault && resets ? "RSS table by default" : "RSS table as before"),
                at: 0)
        }
        self.outcomes = outcomes
    }

    /// Resizes a table as the kernel does (`ethtool_rxfh_resize` of net/ethtool/common.c): repeats
    /// it, or takes its first part if the table repeats it. Otherwise takes evenly spaced entries.
    static func fit(_ table: [UInt32], to size: Int) -> [UInt32] {
        guard size != table.count else { return table }
        // A NIC has no empty table, but a journal may.
        guard !table.isEmpty, size > 0 else { return [UInt32](repeating: 0, count: size) }
        if size > table.count { return (0..<size).map { table[$0 % table.count] } }
        let start = Array(table.prefix(size))
        if table.indices.allSatisfy({ table[$0] == start[$0 % size] }) { return start }
        return (0..<size).map { table[$0 * table.count / size] }
    }
}

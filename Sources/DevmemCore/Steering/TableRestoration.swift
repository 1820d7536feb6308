/// How the main RSS table comes back, whatever it and the channels have become meanwhile. Pure.
///
/// Whether a table is a user's cannot be read (`netif_is_rxfh_configured` of net/ethtool/common.c): a
/// request that tells would clear the mark or change the channels. So one that looks like the kernel's
/// default is taken for it, and reset: a default follows the channels, and a table that was written
/// does not. A device's own default that looks otherwise is written as it was; only its mark differs
/// then.
struct TableRestoration: Equatable {
    /// Whether the kernel is asked for its default instead of the goal being written.
    let resets: Bool
    /// The table to write; entries that others changed stay.
    let goal: [UInt32]
    /// What to report.
    let outcomes: [SteeringJournal.Outcome]

    /// Compares entry by entry.
    ///
    /// - Parameters:
    ///   - before: what the table was.
    ///   - after: what was written.
    ///   - isDefault: whether `before` looked like the kernel's default.
    ///   - now: what it is; perhaps of another size.
    ///   - taken: the queues that it was changed for.
    ///   - queueCount: how many receive queues there are now, if that is known.
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
        // What was written may look like the default of as many queues as there are by now.
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

    /// A table in another size, as the kernel makes it (`ethtool_rxfh_resize` of net/ethtool/common.c):
    /// repeated, or its first part if that is repeated in it. Else every so many entries.
    static func fit(_ table: [UInt32], to size: Int) -> [UInt32] {
        guard size != table.count else { return table }
        // There is no such table on a NIC, but perhaps in a journal.
        guard !table.isEmpty, size > 0 else { return [UInt32](repeating: 0, count: size) }
        if size > table.count { return (0..<size).map { table[$0 % table.count] } }
        let start = Array(table.prefix(size))
        if table.indices.allSatisfy({ table[$0] == start[$0 % size] }) { return start }
        return (0..<size).map { table[$0 * table.count / size] }
    }
}

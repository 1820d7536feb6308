/// Waits for descriptors as poll(2) does, and before it sleeps polls the NIC of the connections
/// among them, if that is wanted.
///
/// Both receive engines wait for the connection, so both wait here:
/// - poll(2) itself polls a NIC only if sysctl net.core.busy_poll says so for the whole host, and
///   SO_BUSY_POLL makes a call that does not block poll just once. epoll(7) has a time of its own,
///   which needs no privilege (EPIOCSPARAMS, Linux 6.9; `ep_busy_loop` of fs/eventpoll.c).
/// - io_uring polls the NIC of a ring (IORING_REGISTER_NAPI) only while a thread waits in
///   io_uring_enter(2), which no thread does.
/// - To prefer busy polling over interrupts (SO_PREFER_BUSY_POLL) has an effect only together with
///   settings of the NIC, which are its administrator's.
package struct BusyPoller: ~Copyable {
    /// A descriptor that stays open as long as this value, and so may stay in the poller. The number
    /// of any other may come to mean another file between two waits.
    private struct Kept {
        let descriptor: Int32
        /// Its place and events in the poller; nil if it is not there.
        var watched: PollSetEntry?
    }

    private let poller: Poller?
    private var kept: [Kept]

    /// Creates a poller.
    ///
    /// - Parameters:
    ///   - microseconds: how long to poll the NIC; nil to sleep at once.
    ///   - keeping: descriptors that stay open as long as the poller.
    /// - Throws: `DevmemError` of kind `system` if the kernel does not support it.
    package init(microseconds: UInt32?, keeping: [Int32?] = []) throws(DevmemError) {
        guard let microseconds else {
            poller = nil
            kept = []
            return
        }
        let made = try Poller()
        try made.enableBusyPolling(microseconds: microseconds)
        poller = consume made
        kept = keeping.compactMap { $0 }.map { Kept(descriptor: $0) }
    }

    /// Creates a poller that sleeps at once.
    package init() {
        poller = nil
        kept = []
    }

    /// Checks that the kernel supports it.
    ///
    /// - Throws: `DevmemError` of kind `system` if it does not.
    package static func check(microseconds: UInt32?) throws(DevmemError) {
        _ = try BusyPoller(microseconds: microseconds)
    }

    /// Waits until a descriptor of a set is ready.
    ///
    /// - Parameters:
    ///   - set: the descriptors; their events are set as by its own wait.
    ///   - nanoseconds: the timeout; nil means none.
    /// - Returns: the number of ready descriptors; 0 on timeout.
    /// - Throws: `DevmemError` of kind `system` if the wait fails.
    package mutating func wait<let count: Int>(
        _ set: inout PollSet<count>, nanoseconds: UInt64?
    ) throws(DevmemError) -> Int {
        switch poller {
        case .none: return try set.wait(nanoseconds: nanoseconds)
        case .some(let poller):
            guard nanoseconds != 0 else { return try set.wait(nanoseconds: 0) }
            var added: [Int32] = []
            defer { for number in added { poller.remove(number) } }
            guard Self.watch(set, by: poller, keeping: &kept, adding: &added) else {
                return try set.wait(nanoseconds: nanoseconds)
            }
            set.clear()
            return try poller.wait(nanoseconds: nanoseconds) { place, events in
                set.note(Int(place), events)
            }
        }
    }

    /// Makes the poller watch what a set does.
    ///
    /// - Returns: whether it can: a file is always ready, and epoll(7) takes none; nor does it take a
    ///   descriptor twice.
    private static func watch<let count: Int>(
        _ set: borrowing PollSet<count>, by poller: borrowing Poller, keeping kept: inout [Kept],
        adding added: inout [Int32]
    ) -> Bool {
        for index in kept.indices {
            let wanted = set.entry(for: kept[index].descriptor)
            guard kept[index].watched != wanted else { continue }
            if kept[index].watched != nil { poller.remove(kept[index].descriptor) }
            kept[index].watched = nil
            if let wanted {
                guard add(wanted, to: poller) else { return false }
                kept[index].watched = wanted
            }
        }
        for place in 0..<count {
            guard let entry = set.entry(at: place),
                !kept.contains(where: { $0.watched == entry })
            else { continue }
            guard add(entry, to: poller) else { return false }
            added.append(entry.descriptor)
        }
        return true
    }

    private static func add(_ entry: PollSetEntry, to poller: borrowing Poller) -> Bool {
        (try? poller.add(entry.descriptor, as: UInt64(entry.place), for: entry.events)) != nil
    }
}

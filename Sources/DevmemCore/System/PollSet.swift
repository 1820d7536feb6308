import CDevmem
import Glibc

/// The events to poll a descriptor for. poll(2) and epoll(7) use the same bits.
package struct PollEvents: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Data is available, or the end of file is reached.
    package static let input = PollEvents(rawValue: UInt32(POLLIN))
    /// Writing does not block.
    package static let output = PollEvents(rawValue: UInt32(POLLOUT))
    /// An error, or a message in a socket's error queue; always reported.
    package static let failure = PollEvents(rawValue: UInt32(POLLERR))
    /// The peer has closed the connection; always reported.
    package static let hangUp = PollEvents(rawValue: UInt32(POLLHUP))

    // A loop of another module asks these for each wait. There, the operations of sets are not
    // specialized: a literal allocates, and the runtime looks up types for it.

    /// Whether a read does not block: it returns data, the end of file or an error.
    package var allowReading: Bool { rawValue & UInt32(POLLIN | POLLHUP | POLLERR) != 0 }
    /// Whether a write does not block.
    package var allowWriting: Bool { rawValue & UInt32(POLLOUT) != 0 }
    /// Whether there is an error, or a message in a socket's error queue.
    package var reportFailure: Bool { rawValue & UInt32(POLLERR) != 0 }
}

/// A descriptor of a set, and what it is watched for.
struct PollSetEntry: Equatable {
    let place: Int
    let descriptor: Int32
    let events: PollEvents
}

/// A fixed number of descriptors for poll(2). It owns no kernel object and does not allocate, so a
/// loop can create one for each wait.
package struct PollSet<let count: Int> {
    private var entries: [count of pollfd]

    /// Creates an empty set.
    package init() {
        entries = .init(repeating: pollfd(fd: -1, events: 0, revents: 0))
    }

    /// Sets an entry of the set.
    ///
    /// - Parameters:
    ///   - place: the index of the entry.
    ///   - descriptor: the descriptor; nil or a negative number leaves the entry empty.
    ///   - events: the events to wait for.
    package mutating func watch(
        _ place: Int, _ descriptor: Int32?, for events: PollEvents = .input
    ) {
        entries[place] = pollfd(
            fd: descriptor ?? -1, events: Int16(truncatingIfNeeded: events.rawValue), revents: 0)
    }

    /// The entry at a place of the set; nil if it is empty.
    func entry(at place: Int) -> PollSetEntry? {
        guard entries[place].fd >= 0 else { return nil }
        let events = UInt32(UInt16(bitPattern: entries[place].events))
        return PollSetEntry(
            place: place, descriptor: entries[place].fd, events: PollEvents(rawValue: events))
    }

    /// The first entry with a descriptor; nil if there is none.
    func entry(for descriptor: Int32) -> PollSetEntry? {
        for place in 0..<count where entries[place].fd == descriptor { return entry(at: place) }
        return nil
    }

    /// Forgets the events of the last wait.
    mutating func clear() {
        for place in 0..<count { entries[place].revents = 0 }
    }

    /// Sets the events of an entry.
    mutating func note(_ place: Int, _ events: PollEvents) {
        entries[place].revents = Int16(truncatingIfNeeded: events.rawValue)
    }

    /// Returns the events of an entry after the last wait.
    package func ready(_ place: Int) -> PollEvents {
        PollEvents(rawValue: UInt32(truncatingIfNeeded: entries[place].revents))
    }

    /// Waits until a descriptor is ready.
    ///
    /// - Parameter milliseconds: the timeout; a negative number means none.
    /// - Returns: the number of ready descriptors; 0 on timeout.
    /// - Throws: `DevmemError` of kind `system` if poll(2) fails.
    @discardableResult
    package mutating func wait(milliseconds: Int32 = -1) throws(DevmemError) -> Int {
        try wait(nanoseconds: milliseconds < 0 ? nil : UInt64(milliseconds) * 1_000_000)
    }

    /// Waits like `wait(milliseconds:)`, with a timeout in nanoseconds; nil means none.
    @discardableResult
    package mutating func wait(nanoseconds: UInt64?) throws(DevmemError) -> Int {
        var span = entries.mutableSpan
        let ready = try span.withUnsafeMutableBufferPointer {
            entries throws(DevmemError) -> Int32 in
            try retrying("wait") {
                guard let nanoseconds else {
                    return cdm_ppoll(entries.baseAddress, UInt(entries.count), nil)
                }
                var time = timespec(
                    tv_sec: Int(nanoseconds / 1_000_000_000),
                    tv_nsec: Int(nanoseconds % 1_000_000_000))
                return cdm_ppoll(entries.baseAddress, UInt(entries.count), &time)
            }
        }
        return Int(ready)
    }
}

/// Waits until a descriptor is ready. A negative timeout means none.
///
/// - Returns: whether the descriptor is ready; false on timeout.
/// - Throws: `DevmemError` of kind `system` if poll(2) fails.
package func poll(
    _ descriptor: Int32, for events: PollEvents, milliseconds: Int32
) throws(DevmemError) -> Bool {
    var set = PollSet<1>()
    set.watch(0, descriptor, for: events)
    return try set.wait(milliseconds: milliseconds) > 0
}

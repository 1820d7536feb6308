import CDevmem
import Glibc

/// What a descriptor is waited for, and what it is ready for. poll(2) and epoll(7) use the same bits.
package struct PollEvents: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// There is something to read, or the end of it.
    package static let input = PollEvents(rawValue: UInt32(POLLIN))
    /// There is room to write.
    package static let output = PollEvents(rawValue: UInt32(POLLOUT))
    /// An error, or a message in the error queue of a socket. Always reported.
    package static let failure = PollEvents(rawValue: UInt32(POLLERR))
    /// The peer has closed. Always reported.
    package static let hangUp = PollEvents(rawValue: UInt32(POLLHUP))
}

/// A fixed number of descriptors to wait for together (poll(2)). It holds no kernel object and allocates
/// nothing, so a loop can make one for each wait.
package struct PollSet<let count: Int> {
    private var entries: [count of pollfd]

    /// An empty set.
    package init() {
        entries = .init(repeating: pollfd(fd: -1, events: 0, revents: 0))
    }

    /// Puts a descriptor in a place of the set.
    ///
    /// - Parameters:
    ///   - place: from zero to the size of the set.
    ///   - descriptor: nil or a negative number leaves the place empty.
    ///   - events: what to wait for.
    package mutating func watch(
        _ place: Int, _ descriptor: Int32?, for events: PollEvents = .input
    ) {
        entries[place] = pollfd(
            fd: descriptor ?? -1, events: Int16(truncatingIfNeeded: events.rawValue), revents: 0)
    }

    /// What the descriptor in a place was ready for when the last wait ended.
    package func ready(_ place: Int) -> PollEvents {
        PollEvents(rawValue: UInt32(truncatingIfNeeded: entries[place].revents))
    }

    /// Waits until a descriptor is ready.
    ///
    /// - Parameter milliseconds: a timeout; a negative number waits for any time.
    /// - Returns: how many are ready; zero after the timeout.
    /// - Throws: `DevmemError` of kind `system` as poll(2) fails.
    @discardableResult
    package mutating func wait(milliseconds: Int32 = -1) throws(DevmemError) -> Int {
        try wait(nanoseconds: milliseconds < 0 ? nil : UInt64(milliseconds) * 1_000_000)
    }

    /// The same with a timeout in nanoseconds; nil waits for any time.
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

/// Waits until one descriptor is ready.
///
/// - Returns: whether it is; false after the timeout. A negative number waits for any time.
/// - Throws: `DevmemError` of kind `system` as poll(2) fails.
package func poll(
    _ descriptor: Int32, for events: PollEvents, milliseconds: Int32
) throws(DevmemError) -> Bool {
    var set = PollSet<1>()
    set.watch(0, descriptor, for: events)
    return try set.wait(milliseconds: milliseconds) > 0
}

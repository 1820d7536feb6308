import CDevmem
import Glibc
import SystemPackage

/// Any number of descriptors for epoll(7). The poller's own descriptor is readable when one of them
/// is ready, so another wait can include it.
package struct Poller: ~Copyable, Sendable {
    private let descriptor: Descriptor
    private static let call = "watch descriptors"
    /// The most descriptors that one wait reports.
    private static let most = 64

    /// Creates an empty poller.
    ///
    /// - Throws: `DevmemError` of kind `system` if epoll_create1(2) fails.
    package init() throws(DevmemError) {
        descriptor = Descriptor(
            owning: try retrying(Self.call) { epoll_create1(cdm_EPOLL_CLOEXEC) })
    }

    /// Creates a poller that waits for input on descriptors; negative numbers are ignored.
    ///
    /// - Throws: `DevmemError` of kind `system` if epoll_create1(2) or epoll_ctl(2) fails.
    package init(reading numbers: [Int32]) throws(DevmemError) {
        let poller = try Poller()
        for number in numbers where number >= 0 { try poller.add(number) }
        self = poller
    }

    /// The epoll descriptor.
    package var rawValue: Int32 { descriptor.rawValue }

    /// Adds a descriptor.
    ///
    /// - Parameters:
    ///   - number: the descriptor; it must stay open until it is removed.
    ///   - tag: the value that `wait` reports for it.
    ///   - events: the events to wait for.
    ///   - edgeTriggered: whether to report only changes (EPOLLET).
    /// - Throws: `DevmemError` of kind `system` if epoll_ctl(2) fails.
    package func add(
        _ number: Int32, as tag: UInt64 = 0, for events: PollEvents = .input,
        edgeTriggered: Bool = false
    ) throws(DevmemError) {
        var event = epoll_event()
        event.events = events.rawValue | (edgeTriggered ? cdm_EPOLLET : 0)
        event.data.u64 = tag
        try retrying(Self.call) { epoll_ctl(descriptor.rawValue, EPOLL_CTL_ADD, number, &event) }
    }

    /// Removes a descriptor.
    package func remove(_ number: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(descriptor.rawValue, EPOLL_CTL_DEL, number, &event)
    }

    /// Waits until descriptors are ready and reports up to 64 of them.
    ///
    /// - Parameters:
    ///   - milliseconds: the timeout; a negative number means none.
    ///   - body: called for each ready descriptor with its tag and events.
    /// - Returns: the number of ready descriptors; 0 on timeout.
    /// - Throws: `DevmemError` of kind `system` if epoll_wait(2) fails.
    @discardableResult
    package func wait(
        milliseconds: Int32, _ body: (UInt64, PollEvents) -> Void
    ) throws(DevmemError) -> Int {
        try wait(reporting: body) { epoll_wait($0, $1, $2, milliseconds) }
    }

    /// Waits like `wait(milliseconds:)`, with a timeout in nanoseconds; nil means none. Needs Linux
    /// 5.11, as do the descriptors for which that precision matters.
    @discardableResult
    func wait(
        nanoseconds: UInt64?, _ body: (UInt64, PollEvents) -> Void
    ) throws(DevmemError) -> Int {
        try wait(reporting: body) {
            guard let nanoseconds else { return epoll_wait($0, $1, $2, -1) }
            var time = timespec(
                tv_sec: Int(nanoseconds / 1_000_000_000),
                tv_nsec: Int(nanoseconds % 1_000_000_000))
            return epoll_pwait2($0, $1, $2, &time, nil)
        }
    }

    private func wait(
        reporting body: (UInt64, PollEvents) -> Void,
        _ call: (Int32, UnsafeMutablePointer<epoll_event>, Int32) -> Int32
    ) throws(DevmemError) -> Int {
        // Not an array of fixed size, which would be filled for each call.
        try withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.most) {
            events throws(DevmemError) -> Int in
            // Newer versions of glibc take no pointer that may be nil.
            guard let first = events.baseAddress else { return 0 }
            let count = try retrying("wait") {
                call(descriptor.rawValue, first, Int32(events.count))
            }
            for event in events.prefix(Int(count)) {
                body(event.data.u64, PollEvents(rawValue: event.events))
            }
            return Int(count)
        }
    }

    /// Enables busy polling of the sockets' NAPI instance in `wait` (`ep_eventpoll_bp_ioctl` of
    /// fs/eventpoll.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel does not support it.
    package func enableBusyPolling(microseconds: UInt32) throws(DevmemError) {
        var parameters = cdm_epoll_params(
            busy_poll_usecs: microseconds, busy_poll_budget: 0, prefer_busy_poll: 0, pad: 0)
        do throws(DevmemError) {
            try retrying("poll the NIC busily") {
                cdm_ioctl(descriptor.rawValue, cdm_EPIOCSPARAMS, &parameters)
            }
        } catch {
            throw error.advising("it needs Linux 6.9 or newer with CONFIG_NET_RX_BUSY_POLL")
        }
    }
}

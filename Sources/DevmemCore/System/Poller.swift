import CDevmem
import Glibc
import SystemPackage

/// Any number of descriptors to wait for together (epoll(7)). It has a descriptor of its own, which is
/// readable when one of them is ready, so a poller can stand for all of them in another wait.
package struct Poller: ~Copyable, Sendable {
    private let descriptor: Descriptor
    private static let call = "watch descriptors"

    /// Makes an empty poller.
    ///
    /// - Throws: `DevmemError` of kind `system` as epoll_create1(2) fails.
    package init() throws(DevmemError) {
        descriptor = Descriptor(
            owning: try retrying(Self.call) { epoll_create1(cdm_EPOLL_CLOEXEC) })
    }

    /// Makes a poller of descriptors to read from; negative numbers are left out.
    ///
    /// - Throws: `DevmemError` of kind `system` as epoll_ctl(2) fails.
    package init(reading numbers: [Int32]) throws(DevmemError) {
        let poller = try Poller()
        for number in numbers where number >= 0 { try poller.add(number) }
        self = poller
    }

    /// The descriptor of the poller itself.
    package var rawValue: Int32 { descriptor.rawValue }

    /// Adds a descriptor.
    ///
    /// - Parameters:
    ///   - number: must stay open as long as it is watched.
    ///   - tag: what `wait` reports it as.
    ///   - events: what to wait for.
    ///   - onlyNews: whether only changes are reported, each once.
    /// - Throws: `DevmemError` of kind `system` as epoll_ctl(2) fails.
    package func add(
        _ number: Int32, as tag: UInt64 = 0, for events: PollEvents = .input, onlyNews: Bool = false
    ) throws(DevmemError) {
        var event = epoll_event()
        event.events = events.rawValue | (onlyNews ? cdm_EPOLLET : 0)
        event.data.u64 = tag
        try retrying(Self.call) { epoll_ctl(descriptor.rawValue, EPOLL_CTL_ADD, number, &event) }
    }

    /// Removes a descriptor.
    package func remove(_ number: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(descriptor.rawValue, EPOLL_CTL_DEL, number, &event)
    }

    /// Waits until a descriptor is ready and reports those that are, up to 64 in one call.
    ///
    /// - Parameters:
    ///   - milliseconds: a timeout; a negative number waits for any time.
    ///   - body: called for each with its tag and what it is ready for.
    /// - Returns: how many were ready; zero after the timeout.
    /// - Throws: `DevmemError` of kind `system` as epoll_wait(2) fails.
    @discardableResult
    package func wait(
        milliseconds: Int32, _ body: (UInt64, PollEvents) -> Void
    ) throws(DevmemError) -> Int {
        var events: [64 of epoll_event] = .init(repeating: epoll_event())
        var span = events.mutableSpan
        let number = descriptor.rawValue
        let count = try span.withUnsafeMutableBufferPointer {
            events throws(DevmemError) -> Int32 in
            try retrying("wait") {
                epoll_wait(number, events.baseAddress, Int32(events.count), milliseconds)
            }
        }
        for index in 0..<Int(count) {
            body(events[index].data.u64, PollEvents(rawValue: events[index].events))
        }
        return Int(count)
    }

    /// Has `wait` poll the NAPI instance that the packets of the sockets come through
    /// (`ep_eventpoll_bp_ioctl` of fs/eventpoll.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel cannot.
    package func pollBusily(microseconds: UInt32) throws(DevmemError) {
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

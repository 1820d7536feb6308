import CDevmem
import CNetlink
import Glibc
import SystemPackage

/// Listens for the kernel's notifications about one NIC: its link and its settings.
///
/// The kernel sends none for flow rules, so a timer triggers a check of them.
struct NICMonitor: ~Copyable {
    /// What has happened since the last call of `news()`.
    struct News: Equatable {
        /// Whether a setting may have changed or the timer has expired.
        var isDue = false
        /// Whether the NIC has left this network namespace.
        var isGone = false
        /// Whether it was moved to another network namespace.
        var isMoved = false

        mutating func add(_ notice: NICNotice) {
            isDue = true
            if case .gone(let moved) = notice {
                isGone = true
                isMoved = isMoved || moved
            }
        }
    }

    /// Seconds between two checks that no notification triggers.
    private static let interval = 3

    private let index: UInt32
    private let ethtool: UInt16
    private let netdev: UInt16
    private let routes: NetlinkSocket
    private let generic: NetlinkSocket
    private let timer: Descriptor
    private let poller: Poller

    /// Subscribes to the notifications.
    ///
    /// - Throws: `DevmemError` of kind `system`, `netlink` or `unsupported` if the kernel does not
    ///   provide the notifications.
    init(index: UInt32) throws(DevmemError) {
        let routes = try NetlinkSocket(
            protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
        try routes.join(LinkNumber.linkGroup)
        let generic = try NetlinkSocket()
        let ethtool = try generic.family(EthtoolNumber.familyName)
        let netdev = try generic.family(NetdevNumber.familyName)
        // Resolve all groups before joining one: later replies would be mixed with notifications.
        let groups = [
            try generic.group("monitor", of: EthtoolNumber.familyName),
            try generic.group("mgmt", of: NetdevNumber.familyName),
        ]
        for group in groups { try generic.join(group) }
        let timer = try Self.makeTimer()
        let poller = try Poller(reading: [routes.rawValue, generic.rawValue, timer.rawValue])
        self.index = index
        self.ethtool = UInt16(clamping: ethtool)
        self.netdev = UInt16(clamping: netdev)
        self.routes = routes
        self.generic = generic
        self.timer = timer
        self.poller = poller
    }

    private static let call = "listen for changes of the NIC"

    /// The descriptor to poll; it is readable when there is news.
    var rawValue: Int32 { poller.rawValue }

    /// Reads the pending notifications without blocking.
    func news() -> News {
        var news = News()
        var expirations: UInt64 = 0
        let size = MemoryLayout<UInt64>.size
        if read(timer.rawValue, &expirations, size) == size { news.isDue = true }
        drain(routes, into: &news) { NICNotice.links(in: $0, about: index) }
        drain(generic, into: &news) {
            NICNotice.settings(in: $0, about: index, ethtool: ethtool, netdev: netdev)
        }
        return news
    }

    private func drain(
        _ socket: borrowing NetlinkSocket, into news: inout News, _ read: ([UInt8]) -> [NICNotice]
    ) {
        guard let queue = try? socket.queued() else { return }
        // After an overrun the settings must be read from the kernel.
        if !queue.isWhole { news.add(.unclear) }
        for datagram in queue.datagrams { for notice in read(datagram) { news.add(notice) } }
    }

    private static func makeTimer() throws(DevmemError) -> Descriptor {
        let timer = Descriptor(
            owning: try retrying(call) {
                timerfd_create(CLOCK_MONOTONIC, cdm_TFD_CLOEXEC | cdm_TFD_NONBLOCK)
            })
        var times = itimerspec()
        times.it_interval.tv_sec = interval
        times.it_value.tv_sec = interval
        try retrying(call) { timerfd_settime(timer.rawValue, 0, &times, nil) }
        return timer
    }
}

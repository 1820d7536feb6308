import CDevmem
import CNetlink
import Glibc
import SystemPackage

/// Listens to what the kernel tells of one NIC: its link, and its settings.
///
/// Flow rules have no notification, so that a timer asks for a look at them.
struct NICMonitor: ~Copyable {
    /// What has come since the last look.
    struct News: Equatable {
        /// Whether anything may have changed, or it is time to look.
        var isDue = false
        /// Whether the NIC has left this network namespace.
        var isGone = false
        /// Whether it has gone to another one.
        var isMoved = false

        mutating func add(_ notice: NICNotice) {
            isDue = true
            if case .gone(let moved) = notice {
                isGone = true
                isMoved = isMoved || moved
            }
        }
    }

    /// Seconds between two looks that nobody asked for.
    private static let interval = 3
    /// Longer than any notification of which more than the beginning counts.
    private static let bufferSize = 1 << 16

    private let index: UInt32
    private let ethtool: UInt16
    private let netdev: UInt16
    private let routes: Descriptor
    private let generic: Descriptor
    private let timer: Descriptor
    private let poller: Descriptor

    /// Begins to listen.
    ///
    /// - Throws: `DevmemError` of kind `system` or `unsupported` if the kernel has no such
    ///   notifications.
    init(index: UInt32) throws(DevmemError) {
        let asking = try NetlinkSocket()
        let ethtool = try asking.notifications(of: EthtoolNumber.familyName, group: "monitor")
        let netdev = try asking.notifications(of: NetdevNumber.familyName, group: "mgmt")
        let routes = try Self.listen(
            protocol: LinkNumber.netlinkRoute, groups: [LinkNumber.linkGroup])
        let generic = try Self.listen(
            protocol: NETLINK_GENERIC, groups: [ethtool.group, netdev.group])
        let timer = try Self.makeTimer()
        let poller = Descriptor(
            owning: try retrying(Self.call) { epoll_create1(cdm_EPOLL_CLOEXEC) })
        for number in [routes.rawValue, generic.rawValue, timer.rawValue] {
            var event = epoll_event()
            event.events = UInt32(POLLIN)
            try retrying(Self.call) {
                epoll_ctl(poller.rawValue, EPOLL_CTL_ADD, number, &event)
            }
        }
        self.index = index
        self.ethtool = ethtool.family
        self.netdev = netdev.family
        self.routes = routes
        self.generic = generic
        self.timer = timer
        self.poller = poller
    }

    private static let call = "listen for changes of the NIC"

    /// The descriptor to wait on; readable when there is news.
    var rawValue: Int32 { poller.rawValue }

    /// Takes what has come, without waiting.
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
        _ socket: borrowing Descriptor, into news: inout News,
        _ read: ([UInt8]) -> [NICNotice]
    ) {
        var buffer = [UInt8](repeating: 0, count: Self.bufferSize)
        // A flood of messages must not keep the caller from its other work.
        for _ in 0..<256 {
            var sender = sockaddr_nl()
            var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let number = socket.rawValue
            let count = buffer.withUnsafeMutableBytes { bytes in
                withUnsafeMutablePointer(to: &sender) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        recvfrom(
                            number, bytes.baseAddress, bytes.count, cdm_MSG_DONTWAIT, $0, &length)
                    }
                }
            }
            guard count >= 0 else {
                // Some were lost: what they said is read from the kernel itself.
                if errno == ENOBUFS { news.add(.unclear) }
                if errno == ENOBUFS || errno == EINTR { continue }
                return
            }
            // Only the kernel's own word counts.
            guard sender.nl_pid == 0 else { continue }
            for notice in read(Array(buffer[..<count])) { news.add(notice) }
        }
    }

    static func listen(
        protocol number: Int32, groups: [UInt32]
    ) throws(DevmemError) -> Descriptor {
        let opened = Descriptor(
            owning: try retrying(call) {
                socket(AF_NETLINK, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, number)
            })
        // Without a number of its own the socket has the kernel's, 0, and the kernel leaves out of a
        // broadcast whoever it is from (do_one_broadcast of net/netlink/af_netlink.c).
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        try retrying(call) {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(opened.rawValue, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
                }
            }
        }
        for group in groups {
            var group = group
            try retrying(call) {
                setsockopt(
                    opened.rawValue, SOL_NETLINK, Int32(NETLINK_ADD_MEMBERSHIP), &group,
                    socklen_t(MemoryLayout<UInt32>.size))
            }
        }
        return opened
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

extension NetlinkSocket {
    /// The numbers of a generic netlink family and of one of its groups, for those who listen
    /// (`ctrl_fill_info` of net/netlink/genetlink.c).
    func notifications(
        of name: String, group: String
    ) throws(DevmemError) -> (family: UInt16, group: UInt32) {
        let call = "look up netlink family \(name)"
        let message = try NetlinkMessage(
            family: ControlNumber.family, command: ControlNumber.getFamily, version: 1)
        try message.put(ControlNumber.familyName, name)
        let reply = try request(message, call: call).first
        for entry in try reply?[ControlNumber.groups]?.nested().values ?? [] {
            let fields = try entry.nested()
            guard fields[ControlNumber.groupName]?.string == group,
                let number = fields.uint32(ControlNumber.groupID),
                let family = reply?.uint32(ControlNumber.familyID).flatMap({ UInt16(exactly: $0) })
            else { continue }
            return (family, number)
        }
        throw DevmemError(.unsupported, call: call, message: "it has no group \(group)")
    }
}

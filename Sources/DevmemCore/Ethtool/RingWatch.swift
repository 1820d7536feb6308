import CDevmem
import SystemPackage

/// Tells a user's ring setting from a driver's state.
///
/// What rings-get reads may be either: the driver writes its state over the setting
/// (`rings_prepare_data` of net/ethtool/rings.c). But bind-rx asks for the setting alone, so a user's
/// "on" must not be lost where the driver's own may be. The kernel tells them apart in one place: a
/// rings-set that changes no setting sends no notification (`ethnl_set_rings`).
///
/// `hds-thresh` needs no such care: the kernel holds one number, and drivers put their default there.
struct RingWatch: ~Copyable {
    private let interface: UInt32
    private let socket: NetlinkSocket

    /// Listens from now on. The notification of a request is queued before its acknowledgement
    /// (`ethnl_default_set_doit` of net/ethtool/netlink.c).
    init(_ interface: NetworkInterface) throws(DevmemError) {
        let socket = try NetlinkSocket()
        try socket.join(try socket.group("monitor", of: EthtoolNumber.familyName))
        self.socket = socket
        self.interface = interface.index
    }

    /// Whether a request that was just acknowledged changed a setting; nil if it cannot be told.
    func verdict(on request: RingRequest, before: RingSettings) -> Bool? {
        guard let queue = try? socket.queued(), queue.isWhole,
            let seen = try? Self.notifications(in: queue.datagrams, about: interface)
        else { return nil }
        return Self.verdict(on: request, before: before, seen: seen)
    }

    /// What was notified of an interface's rings. Pure.
    static func notifications(
        in datagrams: [[UInt8]], about interface: UInt32
    ) throws(DevmemError) -> [RingSettings] {
        var found: [RingSettings] = []
        for datagram in datagrams {
            for frame in try NetlinkFrame.split(datagram)
            where frame.payload.first == EthtoolNumber.Notification.rings {
                let attributes = try NetlinkAttributes(frame.payload.dropFirst(cdm_genlmsghdr_size))
                let header = try attributes[EthtoolNumber.header]?.nested()
                if header?.uint32(EthtoolNumber.Header.deviceIndex) == interface {
                    found.append(RingSettings(attributes))
                }
            }
        }
        return found
    }

    /// Whether the notifications that came with a request tell that it changed a setting.
    ///
    /// They do not say who asked. One that differs from what was there before in more than was asked
    /// for is another process's, and so is one of two; then nothing is known. What cannot be told is
    /// another process's request in the same moment that leaves all as ours would.
    static func verdict(
        on request: RingRequest, before: RingSettings, seen: [RingSettings]
    ) -> Bool? {
        guard let notified = seen.first else { return false }
        var expected = before
        if let threshold = request.threshold { expected.splitThreshold = threshold }
        expected.headerSplit = notified.headerSplit
        let isOurs = seen.count == 1 && notified == expected
        let isAsAsked =
            request.split == nil || request.split == .unknown
            || notified.headerSplit == request.split
        return isOurs && isAsAsked ? true : nil
    }

    /// What the refusal of a binding says of the setting: the kernel looks at it first, then at the
    /// threshold (`__netif_mp_open_rxq` of net/core/netdev_rx_queue.c).
    static func isSplitUserSet(bindingRefusedWith error: DevmemError) -> Bool? {
        if error.message?.contains("tcp-data-split is disabled") == true { return false }
        if error.message?.contains("hds-thresh is not zero") == true { return true }
        return nil
    }
}

import CDevmem
import SystemPackage

/// Tells whether header split is on because a user set it or because the driver chose so.
///
/// rings-get may report either: the driver overwrites the setting with its state
/// (`rings_prepare_data` of net/ethtool/rings.c). But bind-rx checks the setting, so a user's "on"
/// must be restored and a driver's need not be. The kernel reveals the difference in one place: a
/// rings-set that changes no setting sends no notification (`ethnl_set_rings`).
///
/// `hds-thresh` needs no such care: the kernel holds one number, and drivers put their default
/// there.
struct RingWatch: ~Copyable {
    private let interface: UInt32
    private let socket: NetlinkSocket

    /// Starts to listen. The notification of a request is queued before its acknowledgement
    /// (`ethnl_default_set_doit` of net/ethtool/netlink.c).
    init(_ interface: NetworkInterface) throws(DevmemError) {
        let socket = try NetlinkSocket()
        try socket.join(try socket.group("monitor", of: EthtoolNumber.familyName))
        self.socket = socket
        self.interface = interface.index
    }

    /// Returns whether the request that was just acknowledged changed a setting; nil if that cannot
    /// be determined.
    func verdict(on request: RingRequest, before: RingSettings) -> Bool? {
        guard let queue = try? socket.queued(), queue.isWhole,
            let seen = try? Self.notifications(in: queue.datagrams, about: interface)
        else { return nil }
        return Self.verdict(on: request, before: before, seen: seen)
    }

    /// Returns the notifications about an interface's rings. Pure.
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

    /// Decides from the notifications that came with a request whether it changed a setting. Pure.
    ///
    /// They do not name the requester. A notification that differs from the former settings in more
    /// than the request is another process's, and so is one of two; then the answer is nil. A
    /// simultaneous request of another process with the same result goes unnoticed.
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

    /// Returns what a refused binding says about the setting: the kernel checks it before the
    /// threshold (`__netif_mp_open_rxq` of net/core/netdev_rx_queue.c).
    static func isSplitUserSet(bindingRefusedWith error: DevmemError) -> Bool? {
        switch Refusal(error) {
        case .splitIsOff: false
        case .thresholdIsSet: true
        default: nil
        }
    }
}

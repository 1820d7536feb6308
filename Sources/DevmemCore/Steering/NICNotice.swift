import CDevmem
import Glibc

/// What a kernel notification says about one NIC. Pure: bytes in, values out.
enum NICNotice: Equatable {
    /// Its link changed: flags, name or carrier.
    case link
    /// It left this network namespace; `isMoved` says that it went to another one.
    case gone(isMoved: Bool)
    /// An interface appeared or was renamed, which may be the same NIC, created anew.
    case other
    /// A setting changed.
    case settings
    /// The message cannot be parsed, so anything may have changed.
    case unclear

    private enum Route {
        static let newLink = cdm_RTM_NEWLINK
        static let deleteLink = cdm_RTM_DELLINK
        /// In a deletion, where the interface went.
        static let newNamespace = cdm_IFLA_NEW_NETNSID
    }

    /// Returns the notices in a datagram of rtnetlink.
    static func links(in datagram: [UInt8], about index: UInt32) -> [NICNotice] {
        notices(in: datagram) { frame throws(DevmemError) in
            guard frame.type == Route.newLink || frame.type == Route.deleteLink else { return nil }
            let payload = frame.payload
            guard payload.count >= LinkNumber.headerLength else { return .unclear }
            // Bridges send link messages about their ports with family AF_BRIDGE.
            guard payload[payload.startIndex + LinkNumber.headerFamily] == AF_UNSPEC else {
                return nil
            }
            let isOurs =
                payload.number32(at: payload.startIndex + LinkNumber.headerIndex) == index
            guard frame.type == Route.deleteLink else { return isOurs ? .link : .other }
            guard isOurs else { return nil }
            let attributes = try NetlinkAttributes(payload.dropFirst(LinkNumber.headerLength))
            return .gone(isMoved: attributes[Route.newNamespace] != nil)
        }
    }

    /// Returns the notices in a datagram of the ethtool or netdev family.
    static func settings(
        in datagram: [UInt8], about index: UInt32, ethtool: UInt16, netdev: UInt16
    ) -> [NICNotice] {
        notices(in: datagram) { frame throws(DevmemError) in
            guard frame.type == ethtool || frame.type == netdev else { return nil }
            guard frame.payload.count >= cdm_genlmsghdr_size else { return .unclear }
            let attributes = try NetlinkAttributes(frame.payload.dropFirst(cdm_genlmsghdr_size))
            // netdev messages carry the interface index as a top-level attribute.
            let named =
                frame.type == ethtool
                ? try attributes[EthtoolNumber.header]?.nested()
                    .uint32(EthtoolNumber.Header.deviceIndex)
                : attributes.uint32(NetdevNumber.deviceIndex)
            guard let named else { return .unclear }
            return named == index ? .settings : nil
        }
    }

    private static func notices(
        in datagram: [UInt8], _ read: (NetlinkFrame) throws(DevmemError) -> NICNotice?
    ) -> [NICNotice] {
        do throws(DevmemError) {
            var notices: [NICNotice] = []
            for frame in try NetlinkFrame.split(datagram) {
                if let notice = try read(frame) { notices.append(notice) }
            }
            return notices
        } catch {
            return [.unclear]
        }
    }
}

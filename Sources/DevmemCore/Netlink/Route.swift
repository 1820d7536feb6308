import CDevmem
import Glibc
import SystemPackage

/// The route that the kernel uses to an address.
struct Route: Equatable, Sendable {
    /// The output interface.
    var interface: UInt32
    /// Whether it ends on this host.
    var isLocal: Bool

    private enum Number {
        static let getRoute = cdm_RTM_GETROUTE
        /// `struct rtmsg`.
        static let headerLength = cdm_rtmsg_size
        static let headerFamily = cdm_rtmsg_family
        static let headerDestinationLength = cdm_rtmsg_dst_len
        static let headerSourceLength = cdm_rtmsg_src_len
        static let headerType = cdm_rtmsg_type
        static let local = cdm_RTN_LOCAL

        static let destination = cdm_RTA_DST
        static let source = cdm_RTA_SRC
        static let outputInterface = cdm_RTA_OIF
    }

    /// Parses a struct rtmsg and the attributes after it; nil if no interface is named.
    init?(_ payload: ArraySlice<UInt8>) throws(DevmemError) {
        guard payload.count >= Number.headerLength else { return nil }
        let attributes = try NetlinkAttributes(payload.dropFirst(Number.headerLength))
        guard let interface = attributes.uint32(Number.outputInterface) else { return nil }
        self.interface = interface
        isLocal = payload[payload.startIndex + Number.headerType] == Number.local
    }

    /// Looks up a route in the kernel, whose policy rules may depend on the source address
    /// (RTM_GETROUTE, `inet_rtm_getroute` of net/ipv4/route.c).
    ///
    /// - Parameters:
    ///   - peer: the destination address.
    ///   - local: the source address; nil for the kernel's choice.
    ///   - scope: the interface index of a link-local address; 0 for none.
    /// - Throws: `DevmemError` of kind `netlink`, for example with `ENETUNREACH`, if there is no
    ///   route.
    package init(
        to peer: IPAddress, from local: IPAddress? = nil, scope: UInt32 = 0
    ) throws(DevmemError) {
        let peer = peer.unmapped
        let local = local?.unmapped
        let operation: DevmemError.Operation =
            "find the route to \(peer)"
        var header = [UInt8](repeating: 0, count: Number.headerLength)
        header[Number.headerFamily] = UInt8(peer.isIPv6 ? AF_INET6 : AF_INET)
        header[Number.headerDestinationLength] = UInt8(8 * peer.bytes.count)
        let source = local.flatMap { $0.isIPv6 == peer.isIPv6 && !$0.isWildcard ? $0 : nil }
        if let source { header[Number.headerSourceLength] = UInt8(8 * source.bytes.count) }
        let message = try NetlinkMessage(type: Number.getRoute, header: header)
        try message.put(Number.destination, bytes: peer.bytes)
        if let source { try message.put(Number.source, bytes: source.bytes) }
        if scope != 0 { try message.put(Number.outputInterface, scope) }
        let socket = try NetlinkSocket(
            protocol: LinkNumber.netlinkRoute, familyHeaderLength: Number.headerLength)
        for payload in try socket.payloads(message, operation: operation) {
            guard let route = try Route(payload) else { continue }
            self = route
            return
        }
        throw DevmemError(
            .system, operation, message: "the kernel names no interface",
            advice: "ip route get \(peer) shows what it does")
    }
}

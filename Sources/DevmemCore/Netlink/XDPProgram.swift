/// Numbers of the routing netlink (linux/rtnetlink.h and linux/if_link.h).
private enum LinkNumber {
    static let netlinkRoute: Int32 = 0
    static let getLink: UInt16 = 18
    /// struct ifinfomsg: family, padding, type, index, flags, change.
    static let headerLength = 16
    static let headerIndex = 4

    static let xdp: UInt16 = 43
    enum XDP {
        static let attached: UInt16 = 2
        static let programID: UInt16 = 4
    }
}

/// The id of the XDP program on an interface, zero if it has several; nil if it has none.
///
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses.
func attachedXDPProgram(ofInterface index: UInt32) throws(DevmemError) -> UInt32? {
    let socket = try NetlinkSocket(
        protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
    var header = [UInt8](repeating: 0, count: LinkNumber.headerLength)
    header.store(index, at: LinkNumber.headerIndex)
    let message = try NetlinkMessage(type: LinkNumber.getLink, header: header)
    let replies = try socket.request(message, call: "read the link of interface \(index)")
    guard let xdp = try replies.first?[LinkNumber.xdp]?.nested(),
        let attached = xdp.uint32(LinkNumber.XDP.attached), attached != 0
    else { return nil }
    return xdp.uint32(LinkNumber.XDP.programID) ?? 0
}

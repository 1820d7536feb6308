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

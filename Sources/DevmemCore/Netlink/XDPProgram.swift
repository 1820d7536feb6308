/// An XDP program attached to an interface.
package struct XDPProgram: Equatable, Sendable {
    /// Where the program runs (`XDP_ATTACHED_*` of linux/if_link.h).
    package enum Mode: UInt32, Sendable {
        /// In the driver.
        case native = 1
        /// In the network stack, for drivers without XDP.
        case generic = 2
        /// On the NIC.
        case offloaded = 3
        /// At more than one of these.
        case several = 4
    }

    /// The program's id; 0 if there are several.
    package var id: UInt32
    /// Where it runs; nil for a value that is unknown here.
    package var mode: Mode?
}

extension XDPProgram {
    /// Parses the attributes of a link; nil if it has no program.
    init?(_ link: NetlinkAttributes) throws(DevmemError) {
        guard let xdp = try link[LinkNumber.xdp]?.nested(),
            let attached = xdp.uint32(LinkNumber.XDP.attached), attached != 0
        else { return nil }
        self.init(
            id: xdp.uint32(LinkNumber.XDP.programID) ?? 0, mode: Mode(rawValue: attached))
    }
}

/// Reads the XDP program attached to an interface; nil if it has none.
///
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses.
package func xdpProgram(ofInterface index: UInt32) throws(DevmemError) -> XDPProgram? {
    let socket = try NetlinkSocket(
        protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
    var header = [UInt8](repeating: 0, count: LinkNumber.headerLength)
    header.store(index, at: LinkNumber.headerIndex)
    let message = try NetlinkMessage(type: LinkNumber.getLink, header: header)
    let replies = try socket.request(message, operation: "read the link of interface \(index)")
    return try replies.first.flatMap(XDPProgram.init)
}

/// Reads the id of the XDP program attached to an interface, 0 if it has several; nil if it has
/// none.
///
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses.
func attachedXDPProgram(ofInterface index: UInt32) throws(DevmemError) -> UInt32? {
    try xdpProgram(ofInterface: index)?.id
}

import SystemPackage

/// Numbers of the routing netlink (linux/rtnetlink.h, linux/if_link.h and linux/if.h).
package enum LinkNumber {
    package static let netlinkRoute: Int32 = 0
    static let getLink: UInt16 = 18
    package static let setLink: UInt16 = 19
    /// RTNLGRP_LINK.
    static let linkGroup: Int32 = 1
    /// struct ifinfomsg: family, padding, type, index, flags, change.
    package static let headerLength = 16
    package static let headerIndex = 4
    static let headerFlags = 8

    static let flagUp: UInt32 = 1
    static let flagLoopback: UInt32 = 1 << 3
    static let flagLowerUp: UInt32 = 1 << 16

    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let mtu: UInt16 = 4
    static let lower: UInt16 = 5
    static let master: UInt16 = 10
    static let operationalState: UInt16 = 16
    static let linkInfo: UInt16 = 18
    static let linkInfoKind: UInt16 = 1
    package static let xdp: UInt16 = 43
    /// IFLA_LINK_NETNSID: the interface below is in another network namespace.
    static let lowerNamespace: UInt16 = 37
    static let parentDevice: UInt16 = 56
    static let parentBus: UInt16 = 57

    package enum XDP {
        package static let descriptor: UInt16 = 1
        static let attached: UInt16 = 2
        package static let flags: UInt16 = 3
        static let programID: UInt16 = 4
        /// A value of the flags: in the kernel's stack, whatever the driver can.
        package static let genericMode: UInt32 = 1 << 1
    }

    /// RFC 2863's states in the order of linux/if.h, in the words of ip-link(8).
    static let operationalStates = [
        "unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up",
    ]
}

/// An interface as the routing netlink reports it.
package struct LinkInfo: Equatable, Sendable {
    /// Its number in the kernel.
    package var index: UInt32
    /// Its name.
    package var name: String
    /// Whether a user has brought it up.
    package var isUp: Bool
    /// Whether the driver reports that the link below works.
    package var hasCarrier: Bool
    /// RFC 2863's state in the words of ip-link(8), in lower case.
    package var operationalState: String?
    /// The largest packet, in bytes, without the link's header.
    package var mtu: UInt32?
    /// The link's address, six bytes for Ethernet.
    package var address: [UInt8]
    /// What kind of virtual interface it is, such as `veth`.
    package var kind: String?
    /// The device behind it, such as a PCI address; nil for a virtual interface, and from kernels
    /// before 5.14.
    package var parentDevice: String?
    /// The bus that this device is on, such as `pci`; nil if it is on none.
    package var parentBus: String?
    /// Whether it is the loopback interface.
    package var isLoopback = false
    /// The interface that this one stands on, or of a veth its peer, if it is in this namespace.
    package var lower: UInt32?
    /// The bridge, bond or the like that this one is part of.
    package var master: UInt32?

    /// Makes a link from its values.
    package init(
        index: UInt32, name: String, isUp: Bool = true, hasCarrier: Bool = true,
        operationalState: String? = nil, mtu: UInt32? = nil, address: [UInt8] = [],
        kind: String? = nil, parentDevice: String? = nil
    ) {
        self.index = index
        self.name = name
        self.isUp = isUp
        self.hasCarrier = hasCarrier
        self.operationalState = operationalState
        self.mtu = mtu
        self.address = address
        self.kind = kind
        self.parentDevice = parentDevice
    }

    /// Reads struct ifinfomsg and the attributes behind it; nil if there is no name.
    init?(_ payload: ArraySlice<UInt8>) throws(DevmemError) {
        guard payload.count >= LinkNumber.headerLength else { return nil }
        let attributes = try NetlinkAttributes(payload.dropFirst(LinkNumber.headerLength))
        guard let name = attributes[LinkNumber.name]?.string else { return nil }
        let flags = payload.number32(at: payload.startIndex + LinkNumber.headerFlags)
        let state = attributes.uint32(LinkNumber.operationalState).map { Int($0) }
        let known = LinkNumber.operationalStates
        self.init(
            index: payload.number32(at: payload.startIndex + LinkNumber.headerIndex), name: name,
            isUp: flags & LinkNumber.flagUp != 0,
            hasCarrier: flags & LinkNumber.flagLowerUp != 0,
            operationalState: state.flatMap { known.indices.contains($0) ? known[$0] : nil },
            mtu: attributes.uint32(LinkNumber.mtu),
            address: attributes[LinkNumber.address].map { Array($0.payload) } ?? [],
            kind: try attributes[LinkNumber.linkInfo]?.nested()[LinkNumber.linkInfoKind]?.string,
            parentDevice: attributes[LinkNumber.parentDevice]?.string)
        parentBus = attributes[LinkNumber.parentBus]?.string
        isLoopback = flags & LinkNumber.flagLoopback != 0
        let isHere = attributes[LinkNumber.lowerNamespace] == nil
        lower = isHere ? attributes.uint32(LinkNumber.lower) : nil
        master = attributes.uint32(LinkNumber.master)
    }

    /// The link's address as ip-link(8) writes it; nil if it has none.
    package var addressText: String? {
        guard !address.isEmpty else { return nil }
        return address.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

/// The interfaces of this network namespace, by number.
///
/// - Parameter index: only the interface of this number; nil for all.
/// - Returns: the interfaces, one if a number is given.
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses, as it does with `ENODEV` for a
///   number that no interface has (`rtnl_getlink` of net/core/rtnetlink.c).
package func links(index: UInt32? = nil) throws(DevmemError) -> [LinkInfo] {
    let socket = try NetlinkSocket(
        protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
    var header = [UInt8](repeating: 0, count: LinkNumber.headerLength)
    header.store(index ?? 0, at: LinkNumber.headerIndex)
    let message = try NetlinkMessage(
        type: LinkNumber.getLink, header: header, dump: index == nil)
    let call: DevmemError.Operation =
        index.map { "read the link of interface \($0)" } ?? "list the interfaces"
    var links: [LinkInfo] = []
    for payload in try socket.payloads(message, call: call) {
        if let link = try LinkInfo(payload) { links.append(link) }
    }
    return links.sorted { $0.index < $1.index }
}

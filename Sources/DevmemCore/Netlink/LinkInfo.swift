import CDevmem
import SystemPackage

/// Numbers of the routing netlink (linux/rtnetlink.h, linux/if_link.h and linux/if.h).
package enum LinkNumber {
    package static let netlinkRoute = cdm_NETLINK_ROUTE
    static let getLink = cdm_RTM_GETLINK
    static let deleteLink = cdm_RTM_DELLINK
    package static let setLink = cdm_RTM_SETLINK
    static let linkGroup = cdm_RTNLGRP_LINK
    /// `struct ifinfomsg`.
    package static let headerLength = cdm_ifinfomsg_size
    package static let headerIndex = cdm_ifinfomsg_index
    static let headerFamily = cdm_ifinfomsg_family
    static let headerFlags = cdm_ifinfomsg_flags

    static let flagUp = cdm_IFF_UP
    static let flagLoopback = cdm_IFF_LOOPBACK
    static let flagLowerUp = cdm_IFF_LOWER_UP

    static let address = cdm_IFLA_ADDRESS
    static let name = cdm_IFLA_IFNAME
    static let mtu = cdm_IFLA_MTU
    static let lower = cdm_IFLA_LINK
    static let master = cdm_IFLA_MASTER
    static let operationalState = cdm_IFLA_OPERSTATE
    static let linkInfo = cdm_IFLA_LINKINFO
    static let linkInfoKind = cdm_IFLA_INFO_KIND
    package static let xdp = cdm_IFLA_XDP
    /// The interface below is in another network namespace.
    static let lowerNamespace = cdm_IFLA_LINK_NETNSID
    /// A request is for this network namespace.
    static let targetNamespace = cdm_IFLA_TARGET_NETNSID
    static let parentDevice = cdm_IFLA_PARENT_DEV_NAME
    static let parentBus = cdm_IFLA_PARENT_DEV_BUS_NAME

    package enum XDP {
        package static let descriptor = cdm_IFLA_XDP_FD
        static let attached = cdm_IFLA_XDP_ATTACHED
        package static let flags = cdm_IFLA_XDP_FLAGS
        static let programID = cdm_IFLA_XDP_PROG_ID
        /// XDP_FLAGS_SKB_MODE: run the program in the network stack even if the driver supports
        /// XDP.
        package static let genericMode = cdm_XDP_FLAGS_SKB_MODE
    }

    /// RFC 2863 operational states in the order of linux/if.h, in the words of ip-link(8).
    static let operationalStates = [
        "unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up",
    ]
}

/// An interface as rtnetlink reports it.
package struct LinkInfo: Equatable, Sendable {
    /// Its interface index.
    package var index: UInt32
    /// Its name.
    package var name: String
    /// Whether it is administratively up.
    package var isUp = true
    /// Whether the driver reports a carrier.
    package var hasCarrier = true
    /// Its RFC 2863 operational state in the words of ip-link(8), in lower case.
    package var operationalState: String?
    /// The MTU in bytes.
    package var mtu: UInt32?
    /// The hardware address, 6 bytes for Ethernet.
    package var address: [UInt8] = []
    /// The kind of virtual interface, such as `veth`.
    package var kind: String?
    /// The name of its parent device, such as a PCI address; nil for a virtual interface and before
    /// Linux 5.14.
    package var parentDevice: String?
    /// The bus of the parent device, such as `pci`; nil if it is on none.
    package var parentBus: String?
    /// Whether it is the loopback interface.
    package var isLoopback = false
    /// The index of its lower interface or, for a veth, of its peer; nil if that is in another
    /// namespace.
    package var lower: UInt32?
    /// The index of the bridge, bond or other master of this interface.
    package var master: UInt32?
}

extension LinkInfo {
    /// Parses a struct ifinfomsg and the attributes after it; nil if the name is missing.
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

    /// Whether it is one end of a netkit pair, to which queues can be leased.
    package var isNetkit: Bool { kind == "netkit" }

    /// The hardware address as ip-link(8) writes it; nil if it has none.
    package var addressText: String? {
        guard !address.isEmpty else { return nil }
        return address.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

/// Lists the interfaces of a network namespace, by index.
///
/// - Parameters:
///   - index: the index of the only interface to list; nil for all.
///   - namespace: the namespace's id in this one; nil for this one.
/// - Returns: the interfaces.
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses, with `ENODEV` for an unknown
///   index (`rtnl_getlink` of net/core/rtnetlink.c).
package func links(
    index: UInt32? = nil, namespace: Int32? = nil
) throws(DevmemError) -> [LinkInfo] {
    let socket = try NetlinkSocket(
        protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
    let message = try linkRequest(LinkNumber.getLink, index: index, namespace: namespace)
    let operation: DevmemError.Operation =
        index.map { "read the link of interface \($0)" } ?? "list the interfaces"
    var links: [LinkInfo] = []
    for payload in try socket.payloads(message, operation: operation) {
        if let link = try LinkInfo(payload) { links.append(link) }
    }
    return links.sorted { $0.index < $1.index }
}

/// Deletes a virtual interface (`rtnl_dellink` of net/core/rtnetlink.c).
///
/// - Parameters:
///   - index: its index in its network namespace.
///   - name: its name, for errors.
///   - namespace: the namespace's id in this one; nil for this one.
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses.
func deleteLink(index: UInt32, name: String, namespace: Int32?) throws(DevmemError) {
    let socket = try NetlinkSocket(
        protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
    let message = try linkRequest(LinkNumber.deleteLink, index: index, namespace: namespace)
    _ = try socket.payloads(message, operation: "delete the interface \(name)")
}

/// Starts a request about one interface or all.
private func linkRequest(
    _ type: UInt16, index: UInt32?, namespace: Int32?
) throws(DevmemError) -> NetlinkMessage {
    var header = [UInt8](repeating: 0, count: LinkNumber.headerLength)
    header.store(index ?? 0, at: LinkNumber.headerIndex)
    let message = try NetlinkMessage(type: type, header: header, dump: index == nil)
    if let namespace { try message.put(LinkNumber.targetNamespace, namespace) }
    return message
}

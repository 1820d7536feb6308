import SystemPackage

/// An interface without NIC queues, and the NICs below it.
///
/// Memory is bound to queues, which only a NIC has. The kernel sends from a dma-buf only through
/// the interface to which it is bound (`net_devmem_get_binding` of net/core/devmem.c).
package struct VirtualInterface: Equatable, Sendable {
    /// Its name.
    package var name: String
    /// Its kind in ip-link(8), such as `vlan`; `loopback` for lo.
    package var kind: String
    /// The names of the NICs below it, by index; empty if there are none.
    package var nics: [String]
}

extension VirtualInterface {
    /// Kinds with one lower interface, named by `IFLA_LINK`. For a veth, that would be its peer.
    private static let stacked: Set<String> = [
        "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec",
    ]

    /// Classifies an interface; nil if it is or may be a NIC. Pure.
    ///
    /// netkit does not count as virtual, because queues can be leased to it.
    init?(_ link: LinkInfo, among links: [LinkInfo]) {
        if link.isLoopback {
            self.init(name: link.name, kind: "loopback", nics: [])
            return
        }
        guard link.parentDevice == nil, let kind = link.kind, kind != "netkit" else { return nil }
        var found: [LinkInfo] = []
        var seen: Set<UInt32> = [link.index]
        var open = [link]
        while let upper = open.popLast() {
            for lower in Self.lower(of: upper, among: links)
            where seen.insert(lower.index).inserted {
                if lower.kind == nil || lower.parentDevice != nil {
                    found.append(lower)
                } else {
                    open.append(lower)
                }
            }
        }
        self.init(
            name: link.name, kind: kind,
            nics: found.sorted { $0.index < $1.index }.map(\.name))
    }

    private static func lower(of link: LinkInfo, among links: [LinkInfo]) -> [LinkInfo] {
        links.filter { other in
            if other.master == link.index { return true }
            guard let kind = link.kind, stacked.contains(kind) else { return false }
            return other.index == link.lower
        }
    }

    /// The interface in words: `a VLAN on eth1`.
    package var text: String {
        let below = nics.joined(separator: nics.count == 2 ? " and " : ", ")
        let what =
            switch kind {
            case "vlan": "a VLAN"
            case "loopback": "the loopback interface"
            case "ipvlan", "ipvtap": "an \(kind)"
            default: "a \(kind)"
            }
        if nics.isEmpty { return "\(what), with no NIC below it" }
        return what + (kind == "bond" || kind == "team" ? " of \(below)" : " on \(below)")
    }

    /// Returns the error for its use where a NIC is required.
    package func error(_ call: String) -> DevmemError {
        DevmemError(
            .invalid, call: call, message: "it is \(text), which has no queues of a NIC",
            advice: advice)
    }

    private var advice: Advice {
        guard let nic = nics.first else {
            return "name a NIC; \(AdvisedCommand(.showAll)) lists them"
        }
        let name = nics.count == 1 ? nic : "one of " + nics.joined(separator: ", ")
        let receiving: Advice =
            switch kind {
            case "vlan":
                "name \(name) to receive; whether its flow rules match packets with a VLAN tag "
                    + "depends on the NIC"
            case "bond", "team":
                "name \(name) to receive what comes in through it"
            default: "name \(name) to receive"
            }
        return receiving + "; device memory can be sent only through a NIC itself"
    }
}

extension NetworkInterface {
    /// The description of the interface if it is not a NIC; nil if it is or may be one.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the interfaces cannot be listed.
    package var virtualInterface: VirtualInterface? {
        get throws(DevmemError) {
            let all = try links()
            guard let link = all.first(where: { $0.index == index }) else { return nil }
            return VirtualInterface(link, among: all)
        }
    }

    /// Refuses an interface that has no NIC queues.
    ///
    /// - Parameter call: the operation that needs them; the interface's name is appended.
    /// - Throws: `DevmemError` of kind `invalid` that names the NICs below it.
    package func requireNIC(_ call: String) throws(DevmemError) {
        if let virtual = try virtualInterface { throw virtual.error("\(call) \(name)") }
    }

    /// Finds the output interface of the route to a peer.
    ///
    /// - Parameters:
    ///   - peer: the destination.
    ///   - local: the source address; nil for the kernel's choice.
    /// - Throws: `DevmemError` of kind `netlink` if there is no route.
    package init(leadingTo peer: Endpoint, from local: IPAddress? = nil) throws(DevmemError) {
        let route = try Route(to: peer.address, from: local, scope: peer.scope)
        try self.init(named: interfaceName(route.interface))
    }

    /// Finds the NIC that receives packets for a local address: the one that holds the address or,
    /// for an address of a virtual interface without NICs such as lo, the one on the route to the
    /// peer.
    ///
    /// - Parameters:
    ///   - address: the local address.
    ///   - peer: the source of the packets, if known.
    /// - Throws: `DevmemError` of kind `invalid` if that is not a NIC, with the candidates.
    init(receivingAt address: IPAddress, from peer: IPAddress?) throws(DevmemError) {
        let holder = try NetworkInterface(holding: address)
        guard let virtual = try holder.virtualInterface else {
            self = holder
            return
        }
        guard virtual.nics.isEmpty else {
            throw virtual.error("receive at \(address) through \(holder.name)")
        }
        let call = "choose a NIC for \(address)"
        guard let peer else {
            throw DevmemError(
                .invalid, call: call,
                message: "the address belongs to \(holder.name), \(virtual.text): its packets can "
                    + "arrive through any NIC",
                advice: .any("name the NIC with \(.interface)", "the peer with \(.from)"))
        }
        let route = try Route(to: peer, from: address)
        guard !route.isLocal else {
            throw DevmemError(
                .invalid, call: call,
                message: "\(peer) is this host, and packets to itself do not pass through a NIC")
        }
        let leading = try NetworkInterface(named: interfaceName(route.interface))
        try leading.requireNIC("receive from \(peer) through")
        self = leading
    }
}

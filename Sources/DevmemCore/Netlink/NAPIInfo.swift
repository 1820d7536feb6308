import CDevmem

/// A NAPI instance, which polls queues of a NIC.
package struct NAPIInfo: Equatable, Sendable {
    /// Its id, as `SO_INCOMING_NAPI_ID` of socket(7) returns it.
    package var id: UInt32
    /// Its interrupt, if any.
    package var irq: UInt32?
    /// The pid of its thread, if NAPI is threaded.
    package var pid: UInt32?
}

extension NAPIInfo {
    init?(_ attributes: NetlinkAttributes) {
        guard let id = attributes.uint32(Attribute.id) else { return nil }
        self.id = id
        irq = attributes.uint32(Attribute.irq)
        pid = attributes.uint32(Attribute.pid)
    }

    fileprivate enum Attribute {
        static let interface = cdm_NETDEV_A_NAPI_IFINDEX
        static let id = cdm_NETDEV_A_NAPI_ID
        static let irq = cdm_NETDEV_A_NAPI_IRQ
        static let pid = cdm_NETDEV_A_NAPI_PID
    }
}

/// Lists the NAPI instances of an interface.
///
/// - Parameter index: the interface index.
/// - Returns: the instances, in the kernel's order.
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses (napi-get of
///   net/core/netdev-genl.c).
package func napiInstances(ofInterface index: UInt32) throws(DevmemError) -> [NAPIInfo] {
    try netdevDump(NetdevNumber.Command.napiGet, operation: "napi-get") {
        message throws(DevmemError) in
        try message.put(NAPIInfo.Attribute.interface, index)
    }.compactMap(NAPIInfo.init)
}

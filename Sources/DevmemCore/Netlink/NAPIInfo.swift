import CDevmem

/// A NAPI instance, which polls queues of a NIC.
package struct NAPIInfo: Equatable, Sendable {
    /// Its id, as `SO_INCOMING_NAPI_ID` of socket(7) returns it.
    package var id: UInt32
    /// Its interrupt, if any.
    package var irq: UInt32?
    /// The pid of its thread, if NAPI is threaded.
    package var pid: UInt32?
    /// Whether a thread polls the queues, and not softirqs.
    package var isThreaded = false
}

extension NAPIInfo {
    init?(_ attributes: NetlinkAttributes) {
        guard let id = attributes.uint32(Attribute.id) else { return nil }
        self.id = id
        irq = attributes.uint32(Attribute.irq)
        pid = attributes.uint32(Attribute.pid)
        // Kernels before 6.17 do not report the setting. A thread outlives it.
        isThreaded = attributes.uint32(Attribute.threaded).map { $0 != 0 } ?? (pid != nil)
    }

    fileprivate enum Attribute {
        static let interface = cdm_NETDEV_A_NAPI_IFINDEX
        static let id = cdm_NETDEV_A_NAPI_ID
        static let irq = cdm_NETDEV_A_NAPI_IRQ
        static let pid = cdm_NETDEV_A_NAPI_PID
        static let threaded = cdm_NETDEV_A_NAPI_THREADED
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

/// Asks for one NAPI instance.
///
/// - Parameter id: its id.
/// - Returns: the instance; nil if the kernel does not know it, as after a restart of its queue.
package func napiInstance(_ id: UInt32) -> NAPIInfo? {
    let replies = try? netdevReplies(
        NetdevNumber.Command.napiGet, isDump: false, operation: "napi-get"
    ) { message throws(DevmemError) in
        try message.put(NAPIInfo.Attribute.id, id)
    }
    return replies?.lazy.compactMap(NAPIInfo.init).first
}

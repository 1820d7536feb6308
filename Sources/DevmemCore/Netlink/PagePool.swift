import CDevmem
import SystemPackage

/// A page pool, which provides the memory of a NIC's receive queue.
package struct PagePoolInfo: Equatable, Sendable {
    /// The pool's id.
    package var id: UInt64
    /// The interface that it belongs to; nil if that is gone or in another namespace.
    package var interface: UInt32?
    /// The NAPI instance that uses it, if any.
    package var napiID: UInt32?
    /// Pages, or net_iovs of device memory, in flight: held by the NIC, by sockets or by users.
    package var inFlight: UInt64?
    /// The memory in flight, in bytes.
    package var inFlightBytes: UInt64?
    /// When the driver detached it, in seconds since boot; it then waits for its memory in flight.
    package var detachedAt: UInt64?
    /// The dma-buf binding that provides its memory, if any.
    package var dmabufID: UInt32?
    /// Whether io_uring zero-copy receive provides its memory.
    package var hasIOUring = false
}

extension PagePoolInfo {
    init?(_ attributes: NetlinkAttributes) {
        guard let id = attributes[Attribute.id]?.unsigned else { return nil }
        self.id = id
        interface = attributes.uint32(Attribute.interface)
        napiID = attributes.uint32(Attribute.napi)
        inFlight = attributes[Attribute.inFlight]?.unsigned
        inFlightBytes = attributes[Attribute.inFlightBytes]?.unsigned
        detachedAt = attributes[Attribute.detachTime]?.unsigned
        dmabufID = attributes.uint32(Attribute.dmabuf)
        hasIOUring = attributes[Attribute.ioUring] != nil
    }

    private enum Attribute {
        static let id = cdm_NETDEV_A_PAGE_POOL_ID
        static let interface = cdm_NETDEV_A_PAGE_POOL_IFINDEX
        static let napi = cdm_NETDEV_A_PAGE_POOL_NAPI_ID
        static let inFlight = cdm_NETDEV_A_PAGE_POOL_INFLIGHT
        static let inFlightBytes = cdm_NETDEV_A_PAGE_POOL_INFLIGHT_MEM
        static let detachTime = cdm_NETDEV_A_PAGE_POOL_DETACH_TIME
        static let dmabuf = cdm_NETDEV_A_PAGE_POOL_DMABUF
        static let ioUring = cdm_NETDEV_A_PAGE_POOL_IO_URING
    }
}

/// Lists the page pools of this network namespace.
///
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses (page-pool-get of
///   net/core/page_pool_user.c).
package func pagePools() throws(DevmemError) -> [PagePoolInfo] {
    try netdevDump(NetdevNumber.Command.pagePoolGet, operation: "page-pool-get").compactMap(
        PagePoolInfo.init)
}

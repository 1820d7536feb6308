import CDevmem
import CNetlink
import SystemPackage

/// The numbers of the generic netlink family "netdev" (linux/netdev.h, Linux 6.12 to 7.3).
package enum NetdevNumber {
    package static let familyName = "netdev"
    package static let version = cdm_NETDEV_FAMILY_VERSION
    /// The interface index in a message about a device.
    static let deviceIndex = cdm_NETDEV_A_DEV_IFINDEX

    package enum Command {
        package static let pagePoolGet = cdm_NETDEV_CMD_PAGE_POOL_GET
        package static let queueGet = cdm_NETDEV_CMD_QUEUE_GET
        static let napiGet = cdm_NETDEV_CMD_NAPI_GET
        package static let queueStatisticsGet = cdm_NETDEV_CMD_QSTATS_GET
        package static let bindRx = cdm_NETDEV_CMD_BIND_RX
        package static let bindTx = cdm_NETDEV_CMD_BIND_TX
        package static let queueCreate = cdm_NETDEV_CMD_QUEUE_CREATE
    }

    package enum Dmabuf {
        package static let ifindex = cdm_NETDEV_A_DMABUF_IFINDEX
        package static let queues = cdm_NETDEV_A_DMABUF_QUEUES
        package static let fd = cdm_NETDEV_A_DMABUF_FD
        static let id = cdm_NETDEV_A_DMABUF_ID
        package static let rxPageSize = cdm_NETDEV_A_DMABUF_RX_PAGE_SIZE
    }

    package enum Queue {
        package static let id = cdm_NETDEV_A_QUEUE_ID
        static let ifindex = cdm_NETDEV_A_QUEUE_IFINDEX
        package static let type = cdm_NETDEV_A_QUEUE_TYPE
        static let napiId = cdm_NETDEV_A_QUEUE_NAPI_ID
        static let dmabuf = cdm_NETDEV_A_QUEUE_DMABUF
        static let ioUring = cdm_NETDEV_A_QUEUE_IO_URING
        static let xsk = cdm_NETDEV_A_QUEUE_XSK
        package static let lease = cdm_NETDEV_A_QUEUE_LEASE
    }

    package static let bindNames = AttributeNames(
        "",
        [
            Dmabuf.ifindex: AttributeNames("ifindex"),
            Dmabuf.queues: AttributeNames(
                "queues",
                [Queue.id: AttributeNames("id"), Queue.type: AttributeNames("type")]),
            Dmabuf.fd: AttributeNames("fd"),
            Dmabuf.id: AttributeNames("id"),
            Dmabuf.rxPageSize: AttributeNames("rx-page-size"),
        ])
}

/// The direction of a NIC queue (`enum netdev_queue_type` of linux/netdev.h).
package enum QueueType: UInt32, Sendable, Codable {
    /// Receive.
    case rx = 0
    /// Transmit.
    case tx = 1
}

/// A NIC queue as the netdev family's queue-get reports it.
package struct QueueInfo: Equatable, Sendable {
    /// The queue's index within its type.
    package var id: UInt32
    /// Receive or transmit.
    package var type: QueueType
    /// The NAPI instance that serves it, if the driver reports one.
    package var napiID: UInt32?
    /// The dma-buf binding that provides its memory, if any.
    package var dmabufID: UInt32?
    /// Whether io_uring zero-copy receive provides its memory.
    package var hasIOUring = false
    /// Whether an AF_XDP socket uses it.
    package var hasXSK = false
    /// The lease of the queue to a virtual interface, if any.
    package var lease: QueueLease?
}

/// What provides the memory of bound receive queues.
package enum QueueProvider: Equatable, Sendable {
    /// The binding of a dma-buf, with its id.
    case binding(UInt32)
    /// io_uring.
    case ioUring

    /// Returns whether this provides a queue's memory.
    func provides(for queue: QueueInfo) -> Bool {
        switch self {
        case .binding(let id): queue.dmabufID == id
        case .ioUring: queue.hasIOUring
        }
    }
}

extension QueueInfo {
    /// What prevents the queue from being bound, in words; nil if nothing does.
    package var holder: String? {
        if let dmabufID { return "bound to dma-buf id \(dmabufID)" }
        if hasIOUring { return "used by io_uring zero-copy receive" }
        if hasXSK { return "used by an AF_XDP socket" }
        return lease == nil ? nil : "leased to a virtual interface"
    }

    init?(_ attributes: NetlinkAttributes) throws(DevmemError) {
        guard let id = attributes.uint32(NetdevNumber.Queue.id),
            let type = attributes.uint32(NetdevNumber.Queue.type).flatMap(QueueType.init)
        else { return nil }
        self.id = id
        self.type = type
        napiID = attributes.uint32(NetdevNumber.Queue.napiId)
        dmabufID = attributes.uint32(NetdevNumber.Queue.dmabuf)
        hasIOUring = attributes[NetdevNumber.Queue.ioUring] != nil
        hasXSK = attributes[NetdevNumber.Queue.xsk] != nil
        lease = try attributes[NetdevNumber.Queue.lease].flatMap { nest throws(DevmemError) in
            try QueueLease(nest.nested())
        }
    }
}

/// Lists the receive and transmit queues of an interface.
///
/// - Throws: `DevmemError` of kind `unsupported` without the netdev family, `netlink` if the kernel
///   refuses (queue-get of net/core/netdev-genl.c).
package func queues(ofInterface index: UInt32) throws(DevmemError) -> [QueueInfo] {
    let replies = try netdevDump(NetdevNumber.Command.queueGet, operation: "queue-get") {
        message throws(DevmemError) in
        try message.put(NetdevNumber.Queue.ifindex, index)
    }
    var queues: [QueueInfo] = []
    for reply in replies {
        if let queue = try QueueInfo(reply) { queues.append(queue) }
    }
    return queues
}

/// Lists the indices of an interface's receive queues, ascending.
///
/// - Throws: `DevmemError` of kind `unsupported` without the netdev family, `netlink` if the kernel
///   refuses.
package func receiveQueues(of interface: NetworkInterface) throws(DevmemError) -> [UInt32] {
    try queues(ofInterface: interface.index).filter { $0.type == .rx }.map(\.id).sorted()
}

/// Returns the replies to a dump of the netdev family; `body` adds attributes that narrow it.
func netdevDump(
    _ command: UInt8, operation: DevmemError.Operation,
    _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void = { _ in }
) throws(DevmemError) -> [NetlinkAttributes] {
    try netdevReplies(command, isDump: true, operation: operation, body)
}

/// Returns the replies to a request of the netdev family, for one object or all of them.
func netdevReplies(
    _ command: UInt8, isDump: Bool, operation: DevmemError.Operation,
    _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void
) throws(DevmemError) -> [NetlinkAttributes] {
    let socket = try NetlinkSocket()
    let message = try NetlinkMessage(
        family: try socket.family(NetdevNumber.familyName), command: command,
        version: NetdevNumber.version, dump: isDump)
    try body(message)
    return try socket.request(message, operation: operation)
}

let needsNetAdmin: Advice = "run as root or with CAP_NET_ADMIN"

/// Formats queue indices for users: ranges as `6-7`, separated by commas.
package func queueList(_ queues: [UInt32]) -> String { numberList(queues) }

/// Formats queue indices for users with a noun: `queue 5`, `queues 6-7`.
package func queueText(_ queues: [UInt32]) -> String {
    (queues.count == 1 ? "queue " : "queues ") + queueList(queues)
}

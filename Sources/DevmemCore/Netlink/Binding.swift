import CNetlink
import SystemPackage

/// A dma-buf bound to receive queues. When this value goes away, its netlink socket is closed and
/// the kernel unbinds and restarts the queues.
package struct ReceiveBinding: ~Copyable {
    /// The binding's id, which control messages carry.
    package let id: UInt32
    private let socket: NetlinkSocket

    /// Binds a dma-buf to receive queues of an interface.
    ///
    /// - Parameters:
    ///   - dmabuf: an open descriptor of the dma-buf; the kernel keeps its own reference.
    ///   - interface: the NIC.
    ///   - queues: indices of receive queues.
    ///   - pageSize: the size in bytes of the buffers that the NIC fills, a power of two; nil for
    ///     one page.
    /// - Throws: `DevmemError` of kind `netlink` with the kernel's message and advice if it refuses
    ///   (`netdev_nl_bind_rx_doit` of net/core/netdev-genl.c), `unsupported` if the kernel lacks
    ///   what the request uses.
    package init(
        dmabuf: borrowing Descriptor, interface: NetworkInterface, queues: [UInt32],
        pageSize: UInt32? = nil
    ) throws(DevmemError) {
        let socket = try NetlinkSocket()
        let message = try Self.request(
            family: try socket.family(NetdevNumber.familyName), dmabuf: dmabuf.rawValue,
            interface: interface.index, queues: queues, pageSize: pageSize)
        let id = try bind(
            message, to: interface, over: socket,
            pageSize == nil ? [.receive] : [.receive, .pageSize],
            DevmemError.Operation(
                .bindReceive, "bind-rx on \(interface.name) queues \(queueList(queues))"))
        self.id = id
        self.socket = socket
    }

    /// Requests to bind queues without naming them, which the kernel must refuse.
    package init(
        dmabuf: borrowing Descriptor, interface: NetworkInterface, unnamedQueues count: Int,
        pageSize: UInt32?
    ) throws(DevmemError) {
        let socket = try NetlinkSocket()
        let message = try Self.request(
            family: try socket.family(NetdevNumber.familyName), dmabuf: dmabuf.rawValue,
            interface: interface.index, queues: [], pageSize: pageSize)
        for _ in 0..<count {
            try message.putFlag(NetdevNumber.Dmabuf.queues | AttributeFlag.nested)
        }
        let id = try bind(
            message, to: interface, over: socket, [.receive],
            DevmemError.Operation(
                .bindReceive, "bind-rx on \(interface.name) of \(count) unnamed queues"))
        self.id = id
        self.socket = socket
    }

    /// Builds a bind-rx request, with one nest of id and type for each queue.
    static func request(
        family: Int32, dmabuf: Int32, interface: UInt32, queues: [UInt32],
        pageSize: UInt32? = nil
    ) throws(DevmemError) -> NetlinkMessage {
        let message = try NetlinkMessage(
            family: family, command: NetdevNumber.Command.bindRx, version: NetdevNumber.version)
        try message.put(NetdevNumber.Dmabuf.ifindex, interface)
        try message.put(NetdevNumber.Dmabuf.fd, UInt32(bitPattern: dmabuf))
        if let pageSize { try message.put(NetdevNumber.Dmabuf.rxPageSize, pageSize) }
        for queue in queues {
            try message.nest(NetdevNumber.Dmabuf.queues) { nest throws(DevmemError) in
                try nest.put(NetdevNumber.Queue.id, queue)
                try nest.put(NetdevNumber.Queue.type, QueueType.rx.rawValue)
            }
        }
        return message
    }
}

/// Sends a bind request that uses some features; returns the id of the binding.
private func bind(
    _ message: borrowing NetlinkMessage, to interface: NetworkInterface,
    over socket: borrowing NetlinkSocket, _ features: [BindFeature],
    _ operation: DevmemError.Operation
) throws(DevmemError) -> UInt32 {
    let replies: [NetlinkAttributes]
    do throws(DevmemError) {
        replies = try socket.request(message, operation: operation, names: NetdevNumber.bindNames)
    } catch {
        let blamed = error.blaming(features) { () throws(DevmemError) in
            try FamilyPolicy(of: NetdevNumber.familyName)
        }
        throw explained(blamed).naming(interface.name)
    }
    guard let id = replies.first?.uint32(NetdevNumber.Dmabuf.id) else {
        throw DevmemError(.malformed, operation, message: "the reply carries no id")
    }
    return id
}

/// A dma-buf bound for sending through an interface. When this value goes away, its netlink socket
/// is closed and the kernel unbinds.
package struct TransmitBinding: ~Copyable {
    /// The binding's id, which control messages of sendmsg(2) carry.
    package let id: UInt32
    private let socket: NetlinkSocket

    /// Binds a dma-buf for sending.
    ///
    /// - Parameters:
    ///   - dmabuf: an open descriptor of the dma-buf; the kernel keeps its own reference.
    ///   - interface: the NIC.
    /// - Throws: `DevmemError` of kind `netlink` with the kernel's message and advice if it refuses
    ///   (`netdev_nl_bind_tx_doit` of net/core/netdev-genl.c), `unsupported` if the kernel cannot
    ///   bind for sending.
    package init(
        dmabuf: borrowing Descriptor, interface: NetworkInterface
    ) throws(DevmemError) {
        let socket = try NetlinkSocket()
        let message = try NetlinkMessage(
            family: try socket.family(NetdevNumber.familyName),
            command: NetdevNumber.Command.bindTx, version: NetdevNumber.version)
        try message.put(NetdevNumber.Dmabuf.ifindex, interface.index)
        try message.put(NetdevNumber.Dmabuf.fd, UInt32(bitPattern: dmabuf.rawValue))
        let id = try bind(
            message, to: interface, over: socket, [.transmit],
            DevmemError.Operation(.bindTransmit, "bind-tx on \(interface.name)"))
        self.id = id
        self.socket = socket
    }
}

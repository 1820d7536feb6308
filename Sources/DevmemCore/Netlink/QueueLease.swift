import CDevmem

/// The lease of a physical receive queue to a queue of a virtual interface, such as netkit, in this
/// or another network namespace (queue-create of net/core/netdev-genl.c, Linux 7.1).
package struct QueueLease: Equatable, Sendable {
    /// The virtual interface's index in its own namespace.
    package var interface: UInt32
    /// The virtual interface's queue.
    package var queue: UInt32
    /// The id of the other network namespace in this one (ip-netns(8)); nil if they are the same,
    /// -1 if none is assigned.
    package var namespace: Int32?
}

extension QueueLease {
    /// The virtual interface; nil if it is gone, or in a network namespace that has no id in this one
    /// or that this process may not look into.
    package var lessee: LinkInfo? {
        namespace == -1 ? nil : try? links(index: interface, namespace: namespace).first
    }

    /// Parses the nest `lease` of queue-get.
    init?(_ attributes: NetlinkAttributes) throws(DevmemError) {
        guard let interface = attributes.uint32(Attribute.interface),
            let queue = try attributes[Attribute.queue]?.nested().uint32(NetdevNumber.Queue.id)
        else { return nil }
        self.interface = interface
        self.queue = queue
        namespace = attributes.uint32(Attribute.namespace).map { Int32(bitPattern: $0) }
    }

    private enum Attribute {
        static let interface = cdm_NETDEV_A_LEASE_IFINDEX
        static let queue = cdm_NETDEV_A_LEASE_QUEUE
        static let namespace = cdm_NETDEV_A_LEASE_NETNS_ID
    }
}

/// Leases a receive queue of a NIC to a virtual interface, which gets a new queue
/// (`netdev_nl_queue_create_doit` of net/core/netdev-genl.c, Linux 7.1).
///
/// - Parameters:
///   - queue: the NIC's queue.
///   - nic: the NIC, in this network namespace.
///   - name: the virtual interface.
///   - namespace: its network namespace; nil for this one.
/// - Returns: the number of the new queue.
/// - Throws: `DevmemError` of kind `netlink` with the kernel's message and advice if it refuses,
///   `unsupported` before Linux 7.1, `invalid` if there is no such interface.
package func lease(
    _ queue: UInt32, of nic: NetworkInterface, to name: String,
    in namespace: consuming NetworkNamespace?
) throws(DevmemError) -> UInt32 {
    switch consume namespace {
    case .none: return try lease(queue, of: nic, to: NetworkInterface(named: name), homeID: nil)
    case .some(let other):
        let home = try NetworkNamespace.current()
        return try other.run { () throws(DevmemError) in
            // The kernel looks for the virtual interface where the socket is, and for the NIC there.
            try lease(
                queue, of: nic, to: NetworkInterface(named: name), homeID: namespaceID(of: home))
        }
    }
}

private func lease(
    _ queue: UInt32, of nic: NetworkInterface, to virtual: NetworkInterface, homeID: Int32?
) throws(DevmemError) -> UInt32 {
    let socket = try NetlinkSocket()
    let message = try QueueLease.request(
        family: try socket.family(NetdevNumber.familyName), queue: queue, nic: nic.index,
        virtual: virtual.index, homeID: homeID)
    let operation = DevmemError.Operation(
        .leaseQueue, "lease queue \(queue) of \(nic.name) to \(virtual.name)")
    let replies: [NetlinkAttributes]
    do throws(DevmemError) {
        replies = try socket.request(message, operation: operation)
    } catch {
        let blamed = error.blaming([.lease]) { () throws(DevmemError) in
            try FamilyPolicy(of: NetdevNumber.familyName)
        }
        throw explained(blamed).naming(nic.name)
    }
    guard let id = replies.first?.uint32(NetdevNumber.Queue.id) else {
        throw DevmemError(.malformed, operation, message: "the reply names no queue")
    }
    return id
}

extension QueueLease {
    /// Builds a queue-create request; `homeID` is the id of the NIC's namespace in that of the virtual
    /// interface, nil if they are one.
    static func request(
        family: Int32, queue: UInt32, nic: UInt32, virtual: UInt32, homeID: Int32?
    ) throws(DevmemError) -> NetlinkMessage {
        let message = try NetlinkMessage(
            family: family, command: NetdevNumber.Command.queueCreate,
            version: NetdevNumber.version)
        try message.put(NetdevNumber.Queue.ifindex, virtual)
        try message.put(NetdevNumber.Queue.type, QueueType.rx.rawValue)
        try message.nest(NetdevNumber.Queue.lease) { lease throws(DevmemError) in
            try lease.put(Attribute.interface, nic)
            try lease.nest(Attribute.queue) { nest throws(DevmemError) in
                try nest.put(NetdevNumber.Queue.id, queue)
                try nest.put(NetdevNumber.Queue.type, QueueType.rx.rawValue)
            }
            if let homeID { try lease.put(Attribute.namespace, homeID) }
        }
        return message
    }
}

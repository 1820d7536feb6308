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
    /// The virtual interface's name; nil if it is gone or in another network namespace.
    package var interfaceName: String? {
        namespace == nil ? (try? links(index: interface).first)?.name : nil
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

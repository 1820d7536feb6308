import CDevmem

/// To whom a physical receive queue is leased: a queue of a virtual interface, such as netkit's, in
/// this or another network namespace (queue-create of net/core/netdev-genl.c, Linux 7.1).
package struct QueueLease: Equatable, Sendable {
    /// The virtual interface's number, in its own namespace.
    package var interface: UInt32
    /// The virtual interface's queue.
    package var queue: UInt32
    /// The number that this network namespace gives to the other (ip-netns(8)); nil if they are
    /// the same, -1 if it has none.
    package var namespace: Int32?

    /// Makes a lease from its values.
    package init(interface: UInt32, queue: UInt32, namespace: Int32? = nil) {
        self.interface = interface
        self.queue = queue
        self.namespace = namespace
    }

    /// The virtual interface's name, if it is in this network namespace and still there.
    package var interfaceName: String? {
        namespace == nil ? (try? links(index: interface).first)?.name : nil
    }

    /// Reads the nest `lease` of queue-get.
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

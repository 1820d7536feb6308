package import DevmemCore

/// The queue of a NIC that is leased to a queue of a virtual interface.
package struct QueueLessor: Equatable, Sendable {
    /// The NIC's name.
    package var interface: String
    /// The NIC's queue.
    package var queue: UInt32

    /// Creates a description.
    package init(interface: String, queue: UInt32) {
        self.interface = interface
        self.queue = queue
    }
}

/// Returns what is leased to the queues of a virtual interface, by their numbers. Pure.
///
/// The kernel tells only the NIC's side of a lease, and only where the NIC is.
///
/// - Parameters:
///   - index: the virtual interface.
///   - nics: the names and queues of the NICs in the same network namespace.
/// - Returns: what is known; nothing for a queue whose NIC is elsewhere.
package func lessors(
    ofInterface index: UInt32, among nics: [(name: String, queues: [QueueInfo])]
) -> [UInt32: QueueLessor] {
    var found: [UInt32: QueueLessor] = [:]
    for (name, queues) in nics {
        for queue in queues {
            guard let lease = queue.lease, lease.interface == index, lease.namespace == nil else {
                continue
            }
            found[lease.queue] = QueueLessor(interface: name, queue: queue.id)
        }
    }
    return found
}

/// Reads the same.
///
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses.
func lessors(ofInterface index: UInt32) throws(DevmemError) -> [UInt32: QueueLessor] {
    var nics: [(name: String, queues: [QueueInfo])] = []
    for link in try links() where link.parentDevice != nil || link.kind == nil {
        nics.append((link.name, try queues(ofInterface: link.index)))
    }
    return lessors(ofInterface: index, among: nics)
}

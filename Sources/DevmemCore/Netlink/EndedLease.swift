import SystemPackage

/// The end of the leases of a virtual interface.
package struct EndedLease: Equatable, Sendable {
    /// The interface's name; it is gone.
    package var lessee: String
    /// The queues of the NIC that were leased to it, ascending.
    package var queues: [UInt32]
}

/// Takes a leased receive queue of a NIC back, by deleting the virtual interface that has it.
///
/// - Parameters:
///   - queue: the queue.
///   - nic: the NIC.
///   - deletes: whether the interface may be deleted; otherwise the error says which one it is.
/// - Returns: what is gone.
/// - Throws: `DevmemError` of kind `invalid` if the queue is not leased, or if the interface may not be
///   deleted or cannot be seen from here; `netlink` if the kernel refuses.
package func takeBack(
    _ queue: UInt32, of nic: NetworkInterface, deletes: Bool
) throws(DevmemError) -> EndedLease {
    let call = "take back queue \(queue) of \(nic.name)"
    let leases = try leases(of: nic)
    guard let lease = leases[queue] else {
        throw DevmemError(
            .invalid, call: call,
            message: leases.isEmpty
                ? "none of its queues is leased"
                : "it is not leased, only \(queueList(leases.keys.sorted()))")
    }
    guard let lessee = lease.lessee else {
        throw DevmemError(
            .invalid, call: call,
            message: "interface \(lease.interface), which has it, cannot be seen from this network "
                + "namespace",
            advice: "delete it where it is: ip link delete")
    }
    let queues = leases.filter {
        $0.value.interface == lease.interface && $0.value.namespace == lease.namespace
    }.keys.sorted()
    guard deletes else {
        let place = lease.namespace.map { " in the network namespace with id \($0)" } ?? ""
        throw DevmemError(
            .invalid, call: call,
            message: "the kernel ends a lease only with the virtual interface, here "
                + "\(lessee.name)\(place), which has \(queueText(queues))",
            advice: "\(.delete) deletes it and its peer")
    }
    // A lease has no other end (`netkit_queue_create` of drivers/net/netkit.c has no opposite).
    try deleteLink(index: lease.interface, name: lessee.name, namespace: lease.namespace)
    // The kernel ends the leases before it answers.
    guard try DevmemCore.leases(of: nic)[queue] == nil else {
        throw DevmemError(
            .system, call: call, message: "\(lessee.name) is deleted, but the lease has not ended")
    }
    return EndedLease(lessee: lessee.name, queues: queues)
}

/// Returns the leases of a NIC by its queues.
private func leases(of nic: NetworkInterface) throws(DevmemError) -> [UInt32: QueueLease] {
    var found: [UInt32: QueueLease] = [:]
    for queue in try queues(ofInterface: nic.index) where queue.type == .rx {
        found[queue.id] = queue.lease
    }
    return found
}

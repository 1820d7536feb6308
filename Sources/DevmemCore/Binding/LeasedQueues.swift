import SystemPackage

/// The receive queues of a NIC that are leased to a virtual interface, such as a container's end of a
/// netkit pair.
///
/// They are bound like those of a NIC. But header split, its threshold, the RSS table and flow rules are
/// the NIC's, which may be in another network namespace, and cannot be changed through the interface.
/// Inside, the kernel reports neither what the queues lead to nor who holds them.
struct LeasedQueues: Equatable {
    let interface: String
    /// Their numbers, ascending. Queue 0 is the interface's own.
    let ids: [UInt32]

    init(interface: String, ids: [UInt32]) {
        self.interface = interface
        self.ids = ids
    }

    /// Reads them; nil for an interface to which none can be leased.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the kernel refuses.
    init?(of interface: NetworkInterface) throws(DevmemError) {
        guard try links(index: interface.index).first?.isNetkit == true else { return nil }
        self.init(
            interface: interface.name,
            ids: try receiveQueues(of: interface).filter { $0 != 0 })
    }

    private var call: String { "choose queues of \(interface)" }

    /// Chooses among them. Whether one is free, only a bind request tells.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if there are not enough, or if one of a list is none
    ///   of them.
    func choose(_ choice: QueueChoice) throws(DevmemError) -> [UInt32] {
        guard !ids.isEmpty else {
            throw DevmemError(
                .invalid, call: call, message: "no queue of a NIC is leased to it",
                advice: "\(AdvisedCommand(.leaseQueue, interface)), where the NIC is")
        }
        switch choice {
        case .list(let wanted):
            let chosen = Set(wanted).sorted()
            guard !chosen.isEmpty else {
                throw DevmemError(.invalid, call: call, message: "the list is empty")
            }
            if let other = chosen.first(where: { !ids.contains($0) }) {
                throw DevmemError(
                    .invalid, call: call,
                    message: "queue \(other) is not leased to it, only \(queueList(ids))",
                    advice: "choose one of them")
            }
            return chosen
        case .last(let count), .automatic(let count):
            guard count > 0, count <= ids.count else {
                throw DevmemError(
                    .invalid, call: call,
                    message: "\(count) wanted, but \(queueList(ids)) is all that is leased to it")
            }
            return Array(ids.suffix(count))
        }
    }

    /// What a user must know of an interface that is not steered, as a sentence without a full stop.
    static let note =
        "it is not steered, as its queues are leased: the NIC needs header split on, hds-thresh 0 and a "
        + "flow rule to the queue"

    /// Why payload may arrive outside device memory, as a sentence without a full stop.
    static let placementReason =
        "header split, its threshold or the flow rule of the NIC that leases the queue is not set, "
        + "which cannot be seen from here"
}

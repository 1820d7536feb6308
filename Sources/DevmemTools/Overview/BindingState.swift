import DevmemCore
/// A dma-buf bound to receive queues.
package struct BindingState: Equatable, Sendable {
    /// The kernel's id of the binding.
    package var dmabufID: UInt32
    /// The queues that it is bound to.
    package var queues: [UInt32]
    /// The processes that may own the binding. A binding lives as long as a generic netlink socket,
    /// and the kernel does not report which one. These processes have such a socket and a dma-buf
    /// open.
    package var likelyHolders: [ProcessName]

    /// Creates a state from its values.
    package init(dmabufID: UInt32, queues: [UInt32], likelyHolders: [ProcessName]) {
        self.dmabufID = dmabufID
        self.queues = queues
        self.likelyHolders = likelyHolders
    }
}

/// Finds the bindings of an interface's queues.
///
/// - Parameters:
///   - queues: the interface's queues.
///   - processes: the processes that may own the bindings.
///   - netlinkSockets: the inodes of generic netlink sockets.
/// - Returns: the bindings, ordered by id.
func bindings(
    of queues: [QueueState], processes: [ProcessDescriptors], netlinkSockets: Set<UInt64>
) -> [BindingState] {
    let holders = processes.filter {
        $0.hasDmabuf && !$0.sockets.isDisjoint(with: netlinkSockets)
    }
    let bound = Dictionary(grouping: queues.filter { $0.info.dmabufID != nil }) {
        $0.info.dmabufID ?? 0
    }
    return bound.sorted { $0.key < $1.key }.map { id, queues in
        BindingState(
            dmabufID: id, queues: queues.map(\.info.id),
            likelyHolders: holders.map { ProcessName($0) })
    }
}

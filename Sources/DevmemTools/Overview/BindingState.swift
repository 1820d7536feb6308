package import DevmemCore

/// A dma-buf bound to receive queues.
package struct BindingState: Equatable, Sendable {
    /// The kernel's id of the binding.
    package var dmabufID: UInt32
    /// The queues that it is bound to.
    package var queues: [UInt32]
    /// The processes that may own the binding. A binding lives as long as a generic netlink socket,
    /// and the kernel does not report which one. These processes have such a socket and a dma-buf
    /// open.
    package var likelyHolders: [BindingHolder]

    /// Creates a state from its values.
    package init(dmabufID: UInt32, queues: [UInt32], likelyHolders: [BindingHolder]) {
        self.dmabufID = dmabufID
        self.queues = queues
        self.likelyHolders = likelyHolders
    }
}

/// A process that may own a binding.
package struct BindingHolder: Equatable, Sendable {
    /// The process.
    package var process: ProcessName
    /// All dma-bufs that it has open; the kernel does not report which of them is bound.
    package var dmabufs: [HeldDmabuf]

    /// Creates a holder from its values.
    package init(process: ProcessName, dmabufs: [HeldDmabuf]) {
        self.process = process
        self.dmabufs = dmabufs
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
            likelyHolders: holders.map {
                BindingHolder(process: ProcessName($0), dmabufs: $0.dmabufs)
            })
    }
}

/// Which processors threads run on.
package enum ProcessorChoice: Equatable, Sendable {
    /// Those near the NIC.
    case near
    /// Those that the process may use.
    case any
    /// These, one for each thread in turn.
    case list([Int])
}

/// The processors for the threads that use a NIC.
///
/// A thread near the NIC finds payload and descriptors in its node's caches and memory, and memory
/// that it allocates is there. The choice narrows what the process may use, by taskset(1) or its
/// cpuset, and never widens it. On a host with a single node it leaves all to the scheduler.
package struct ThreadPlacement: Equatable, Sendable {
    /// The processors; empty if unknown.
    package private(set) var processors: Set<Int>
    /// Why those, in words; nil if the user chose them.
    package private(set) var reason: String?
    /// The processors to pin threads to, in turn; none to pin no thread.
    package let pinned: [Int]
    /// The NUMA node that the threads are confined to, if any.
    private let node: Int?
    /// What the calling thread was allowed before.
    private let before: Set<Int>

    /// Places the calling thread, and so the memory that it allocates from now on.
    ///
    /// - Parameters:
    ///   - choice: the user's choice.
    ///   - interface: the NIC, if it is known; asked for on a host with several NUMA nodes.
    /// - Throws: `DevmemError` of kind `system` if a listed processor does not exist.
    package init(
        _ choice: ProcessorChoice, near interface: @autoclosure () -> NetworkInterface?
    ) throws(DevmemError) {
        before = (try? Affinity.allowed()) ?? []
        processors = before
        switch choice {
        case .any:
            pinned = []
            node = nil
        case .list(let list):
            pinned = list
            node = nil
            processors = Set(list)
            defer { try? Affinity.confine(to: before) }
            for processor in list { try Affinity.pin(to: processor) }
        case .near:
            pinned = []
            let near = NearProcessors(
                allowed: before, nodes: NUMANode.all(),
                of: { interface().flatMap { NetworkDevice(of: $0).numaNode } })
            reason = near.reason
            guard near.processors != before else {
                node = nil
                return
            }
            do throws(DevmemError) {
                try Affinity.confine(to: near.processors)
                processors = near.processors
                node = near.node
            } catch {
                node = nil
                reason = error.description
            }
        }
    }

    /// Leaves out the processors that handle the interrupts of receive queues, if others are left: a
    /// softirq takes precedence over the thread that it wakes. A queue whose NAPI has a thread needs
    /// none of this, as the scheduler separates the two.
    package mutating func avoidInterrupts(
        ofQueues queues: [UInt32], on interface: NetworkInterface
    ) {
        guard node != nil, !queues.isEmpty else { return }
        let busy = interruptProcessors(ofQueues: queues, on: interface)
        let left = NearProcessors.without(busy, of: processors)
        guard left != processors else { return }
        let avoided = Affinity.list(of: processors.subtracting(left))
        processors = left
        reason = reason.map { "\($0), without \(avoided) for the interrupts" }
    }

    /// Places the calling thread, one of those that use the NIC.
    ///
    /// - Parameter number: its number from 0.
    /// - Throws: `DevmemError` of kind `system` if its processors are offline.
    package func place(thread number: Int) throws(DevmemError) {
        if !pinned.isEmpty {
            try Affinity.pin(to: pinned[number % pinned.count])
        } else if node != nil {
            try Affinity.confine(to: processors)
        }
    }

    /// The processors of a thread as a list, such as `8-15`; nil if unknown.
    package func list(ofThread number: Int) -> String? {
        pinned.isEmpty ? list : Affinity.list(of: [pinned[number % pinned.count]])
    }

    /// The processors of all threads as a list; nil if unknown.
    package var list: String? { processors.isEmpty ? nil : Affinity.list(of: processors) }

    /// Lets the calling thread run where it did before.
    package func restore() {
        guard node != nil || !pinned.isEmpty else { return }
        // Nothing can be done if they are all offline now.
        try? Affinity.confine(to: before)
    }
}

/// A NUMA node with processors.
struct NUMANode: Equatable, Sendable {
    let number: Int
    let processors: Set<Int>

    /// Lists the nodes that have processors.
    ///
    /// - Parameter root: where sysfs is mounted.
    /// - Returns: the nodes; none on a host without NUMA.
    static func all(root: String = "/sys") -> [NUMANode] {
        let folder = "\(root)/devices/system/node"
        guard let text = lines(of: "\(folder)/has_cpu").first,
            let numbers = Affinity.processors(inList: text)
        else { return [] }
        return numbers.sorted().map {
            let list = lines(of: "\(folder)/node\($0)/cpulist").first ?? ""
            return NUMANode(number: $0, processors: Affinity.processors(inList: list) ?? [])
        }
    }
}

/// The choice of processors near a NIC. Pure.
struct NearProcessors: Equatable, Sendable {
    let processors: Set<Int>
    let reason: String
    /// The NIC's NUMA node if the processors are of it.
    let node: Int?

    /// - Parameters:
    ///   - allowed: the processors that the process may use.
    ///   - nodes: the NUMA nodes with processors.
    ///   - number: returns the NIC's node; nil or a negative number if it is unknown.
    init(allowed: Set<Int>, nodes: [NUMANode], of number: () -> Int?) {
        var chosen: NUMANode?
        if nodes.count < 2 {
            reason = "the host has one NUMA node"
        } else if let number = number(), number >= 0 {
            let near = nodes.first { $0.number == number }.map { $0.processors } ?? []
            let both = allowed.intersection(near)
            if near.isEmpty {
                reason = "the NIC's NUMA node \(number) has no processors"
            } else if both.isEmpty {
                reason = "the process may use none of the NIC's NUMA node \(number)"
            } else {
                chosen = NUMANode(number: number, processors: both)
                reason = "the NIC's NUMA node \(number)"
            }
        } else {
            reason = "the NIC's NUMA node is unknown"
        }
        processors = chosen?.processors ?? allowed
        node = chosen?.number
    }

    /// Leaves processors out; if none would be left, all stay.
    static func without(_ busy: Set<Int>, of processors: Set<Int>) -> Set<Int> {
        let left = processors.subtracting(busy)
        return left.isEmpty ? processors : left
    }
}

/// Returns the processors that handle the interrupts of receive queues, except of those whose NAPI
/// has a thread; empty if unknown.
private func interruptProcessors(
    ofQueues numbers: [UInt32], on interface: NetworkInterface
) -> Set<Int> {
    guard let queues = try? queues(ofInterface: interface.index),
        let instances = try? napiInstances(ofInterface: interface.index)
    else { return [] }
    let own = Set(
        queues.filter { $0.type == .rx && numbers.contains($0.id) }.compactMap(\.napiID))
    return instances.filter { own.contains($0.id) && !$0.isThreaded }.compactMap(\.irq)
        .reduce(into: []) { $0.formUnion(processors(ofInterrupt: $1)) }
}

/// Returns the processors that an interrupt is delivered to
/// (Documentation/core-api/irq/irq-affinity.rst).
private func processors(ofInterrupt number: UInt32) -> Set<Int> {
    let text = lines(of: "/proc/irq/\(number)/effective_affinity_list").first
    return text.flatMap { Affinity.processors(inList: $0) } ?? []
}

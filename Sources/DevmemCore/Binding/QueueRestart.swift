package import Logging
import SystemPackage

/// The restart of a single receive queue.
package struct QueueRestart: Equatable, Sendable, Codable {
    private enum CodingKeys: String, CodingKey {
        case queue
        case poolBefore = "page_pool_before"
        case poolAfter = "page_pool_after"
        case napiBefore = "napi_before"
        case napiAfter = "napi_after"
    }

    /// The queue.
    package var queue: UInt32
    /// The kernel's number of the page pool that fed it before; nil if that is not known.
    package var poolBefore: UInt64?
    /// The kernel's number of the page pool that feeds it now.
    package var poolAfter: UInt64?
    /// The NAPI instance that served it before.
    package var napiBefore: UInt32?
    /// The NAPI instance that serves it now.
    package var napiAfter: UInt32?

    /// Makes a result from its values.
    package init(
        queue: UInt32, poolBefore: UInt64? = nil, poolAfter: UInt64? = nil,
        napiBefore: UInt32? = nil, napiAfter: UInt32? = nil
    ) {
        self.queue = queue
        self.poolBefore = poolBefore
        self.poolAfter = poolAfter
        self.napiBefore = napiBefore
        self.napiAfter = napiAfter
    }
}

/// Bytes of the scratch dma-buf: enough to fill the ring of the queue twice.
private func scratchSize(of interface: NetworkInterface) throws(DevmemError) -> UInt64 {
    let ring = try EthtoolNetlink(interface).rings().sizes["rx"] ?? 1024
    return UInt64(max(ring, 256)) * UInt64(systemPageSize) * 2
}

/// Restarts one receive queue through the kernel's queue API while the others keep running: a
/// scratch dma-buf is bound to it and unbound, which makes the driver stop, rebuild and start the
/// queue twice (`netdev_rx_queue_reconfig` of net/core/netdev_rx_queue.c).
///
/// Other traffic is steered away from the queue meanwhile, as for any binding.
///
/// - Parameters:
///   - queue: the queue.
///   - interface: the NIC.
///   - force: restart it even if flow rules or RSS contexts lead to it; their connections may
///     break, as programs that do not know of device memory cannot read from it.
///   - logger: is told of each change of the NIC at level debug.
/// - Returns: what the queue was fed and served by before and after.
/// - Throws: `DevmemError` of kind `invalid` if the queue is bound or others lead to it, or as
///   steering or binding fails; all settings are restored first.
package func restart(
    queue: UInt32, of interface: NetworkInterface, force: Bool, logger: Logger
) throws(DevmemError) -> QueueRestart {
    try refuseTraffic(to: queue, of: interface, force: force)
    let memory = try DmabufMemory(size: scratchSize(of: interface))
    var result = QueueRestart(queue: queue)
    (result.poolBefore, result.napiBefore) = try feed(of: queue, of: interface)
    let steering = SteeringRequest(queues: .list([queue]), flows: [], sharesContexts: force)
    try BoundNIC(
        binding: memory, to: interface,
        BindRequest(queues: .steered(steering), command: "devmemtcp queue restart"),
        logger: logger
    ).release()
    (result.poolAfter, result.napiAfter) = try feed(of: queue, of: interface)
    return result
}

/// Packets that a flow rule leads to the queue would end in memory that their reader cannot read.
private func refuseTraffic(
    to queue: UInt32, of interface: NetworkInterface, force: Bool
) throws(DevmemError) {
    try interface.requireNIC("restart queues of")
    guard !force else { return }
    let rule = try NICSnapshot(of: interface).rules.first { $0.queue == queue }
    guard let rule else { return }
    throw DevmemError(
        .invalid, call: "restart queue \(queue) of \(interface.name)", errno: .resourceBusy,
        message: "flow rule \(rule.location) leads to it: \(rule.text)",
        advice: "delete the rule, or \(.force) lets its connections break")
}

/// The page pool and the NAPI instance of a queue.
private func feed(
    of queue: UInt32, of interface: NetworkInterface
) throws(DevmemError) -> (pool: UInt64?, napi: UInt32?) {
    let napi = try queues(ofInterface: interface.index).first {
        $0.type == .rx && $0.id == queue
    }?.napiID
    guard let napi else { return (nil, nil) }
    let pools = try pagePools().filter {
        $0.interface == interface.index && $0.napiID == napi && $0.detachedAt == nil
    }
    return (pools.map(\.id).max(), napi)
}

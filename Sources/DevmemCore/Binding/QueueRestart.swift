package import Logging
import SystemPackage

/// The result of restarting one receive queue.
package struct QueueRestart: Equatable, Sendable, Codable {
    private enum CodingKeys: String, CodingKey {
        case queue
        case poolBefore = "page_pool_before"
        case poolAfter = "page_pool_after"
        case napiBefore = "napi_before"
        case napiAfter = "napi_after"
    }

    /// The queue id.
    package var queue: UInt32
    /// The id of the page pool before the restart; nil if unknown.
    package var poolBefore: UInt64?
    /// The id of the page pool after the restart; nil if unknown.
    package var poolAfter: UInt64?
    /// The id of the NAPI instance before the restart; nil if unknown.
    package var napiBefore: UInt32?
    /// The id of the NAPI instance after the restart; nil if unknown.
    package var napiAfter: UInt32?
}

/// Returns the size of the scratch dma-buf in bytes: enough to fill the queue's ring twice.
private func scratchSize(of interface: NetworkInterface) throws(DevmemError) -> UInt64 {
    let ring = try EthtoolNetlink(interface).rings().sizes["rx"] ?? 1024
    return UInt64(max(ring, 256)) * UInt64(systemPageSize) * 2
}

/// Restarts one receive queue through the kernel's queue API while the others keep running. Binding
/// a scratch dma-buf and unbinding it makes the driver stop, rebuild and start the queue twice
/// (`netdev_rx_queue_reconfig` of net/core/netdev_rx_queue.c).
///
/// Meanwhile other traffic is steered away from the queue, as for any binding.
///
/// - Parameters:
///   - queue: the queue id.
///   - interface: the NIC.
///   - force: whether to restart a queue that is the target of flow rules or RSS contexts; their
///     connections may break because ordinary sockets cannot read device memory.
///   - command: the command that other processes see as the owner of the steering.
///   - logger: logs each change to the NIC at level debug.
/// - Returns: the queue's page pool and NAPI instance before and after.
/// - Throws: `DevmemError` of kind `invalid` if the queue is bound or, without `force`, the target
///   of a flow rule; or the error of steering or binding. All settings are restored first.
package func restart(
    queue: UInt32, of interface: NetworkInterface, force: Bool, as command: String,
    logger: Logger
) throws(DevmemError) -> QueueRestart {
    try requireNoRules(to: queue, of: interface, force: force)
    let memory = try DmabufMemory(size: scratchSize(of: interface))
    var result = QueueRestart(queue: queue)
    (result.poolBefore, result.napiBefore) = try poolAndNAPI(of: queue, of: interface)
    let steering = SteeringRequest(queues: .list([queue]), flows: [], sharesContexts: force)
    try BoundNIC(
        binding: memory, to: interface,
        BindRequest(queues: .steered(steering), command: command),
        logger: logger
    ).release()
    (result.poolAfter, result.napiAfter) = try poolAndNAPI(of: queue, of: interface)
    return result
}

/// Throws if a flow rule targets the queue: its packets would arrive in memory that their socket
/// cannot read.
private func requireNoRules(
    to queue: UInt32, of interface: NetworkInterface, force: Bool
) throws(DevmemError) {
    try interface.requireNIC("restart queues of")
    guard !force else { return }
    let rule = try NICSnapshot(of: interface).rules.first { $0.queue == queue }
    guard let rule else { return }
    throw DevmemError(
        .invalid, call: "restart queue \(queue) of \(interface.name)", errno: .resourceBusy,
        message: "flow rule \(rule.location) leads to it: \(rule.text)",
        advice: .any("delete the rule", "\(.force) lets its connections break"))
}

/// Returns the ids of a queue's page pool and NAPI instance.
private func poolAndNAPI(
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

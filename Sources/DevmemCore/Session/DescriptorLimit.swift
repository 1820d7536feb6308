import Glibc

/// Refuses a session of many connections, at its start and not in its midst, if this process may not
/// have the descriptors that they may need.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE.
func requireDescriptors(for connections: Int, _ request: ReceiveRequest) throws(DevmemError) {
    try requireDescriptors(
        descriptorsNeeded(connections: connections, answers: request.answer != .nothing),
        to: "take \(connections) connections at once")
}

/// Refuses a benchmark, before its NIC is steered, if this process may not have the descriptors that it
/// may need.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE.
func requireDescriptors(for plan: BenchPlan, ports: Int) throws(DevmemError) {
    try requireDescriptors(
        descriptorsNeeded(flows: plan.flows, threads: plan.threads, ports: ports),
        to: "measure \(plan.flows) flows at once")
}

private func requireDescriptors(_ needed: UInt64, to call: String) throws(DevmemError) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
        UInt64(limit.rlim_cur) < needed
    else { return }
    throw DevmemError(
        .invalid, call: call, errno: .tooManyOpenFiles,
        message: "they may need \(needed) descriptors, and \(limit.rlim_cur) are allowed",
        advice: "ulimit -n \(needed), or LimitNOFILE=\(needed) of the unit, allows more")
}

/// How many descriptors connections at once may need, and the session besides. Pure.
func descriptorsNeeded(connections: Int, answers: Bool) -> UInt64 {
    // The socket and the output; to answer, also a dma-buf, its binding, the input and two polls.
    let each: UInt64 = answers ? 8 : 2
    return UInt64(clamping: max(1, min(connections, 1 << 20))) * each + 40
}

/// How many descriptors the end of a benchmark may need. Pure.
func descriptorsNeeded(flows: Int, threads: Int, ports: Int) -> UInt64 {
    func bounded(_ number: Int) -> UInt64 { UInt64(clamping: max(1, min(number, 1 << 20))) }
    // A socket for each flow; for each thread a poll, and to send a dma-buf and its binding.
    return bounded(flows) + bounded(threads) * 4 + bounded(ports) + 40
}

/// Raises the limit on this process's descriptors as far as it may. What is executed inherits that.
///
/// - Returns: how many there may be.
@discardableResult
public func raiseDescriptorLimit() -> UInt64 {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return 0 }
    limit.rlim_cur = limit.rlim_max
    setrlimit(resource, &limit)
    getrlimit(resource, &limit)
    return UInt64(limit.rlim_cur)
}

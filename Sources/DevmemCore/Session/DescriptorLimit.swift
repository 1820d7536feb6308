import Glibc

/// The descriptors that a session of many connections needs at most.
func requireDescriptors(for connections: Int, _ request: ReceiveRequest) throws(DevmemError) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    let needed = descriptorsNeeded(
        connections: connections, answers: request.answer != .nothing)
    guard UInt64(limit.rlim_cur) < needed else { return }
    throw DevmemError(
        .invalid, call: "take \(connections) connections at once",
        errno: .tooManyOpenFiles,
        message: "they may need \(needed) descriptors, and \(limit.rlim_cur) are allowed",
        advice: "ulimit -n \(needed), or LimitNOFILE=\(needed) of the unit, allows more")
}

/// How many descriptors connections at once may need, and the session besides. Pure.
func descriptorsNeeded(connections: Int, answers: Bool) -> UInt64 {
    // The socket and the output; to answer, also a dma-buf, its binding, the input and two polls.
    let each: UInt64 = answers ? 8 : 2
    return UInt64(clamping: max(1, min(connections, 1 << 20))) * each + 40
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

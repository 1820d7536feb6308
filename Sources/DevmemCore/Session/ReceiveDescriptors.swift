/// Refuses a session of many connections, at its start and not in its midst, if this process may not
/// have the descriptors that they may need.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE.
func requireDescriptors(for request: ReceiveRequest) throws(DevmemError) {
    let connections = request.limits.atOnce
    try requireDescriptors(
        descriptorsNeeded(connections: connections, answers: request.answer != .nothing),
        to: "take \(connections) connections at once")
}

/// How many descriptors connections at once may need, and the session besides. Pure.
func descriptorsNeeded(connections: Int, answers: Bool) -> UInt64 {
    // The socket and the output; to answer, also a dma-buf, its binding, the input and two polls.
    let each: UInt64 = answers ? 8 : 2
    return UInt64(clamping: max(1, min(connections, 1 << 20))) * each + 40
}

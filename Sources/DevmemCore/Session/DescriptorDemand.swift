/// Checks at the start of a session that this process may open the descriptors for its connections.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE if it may not.
func requireDescriptors(for request: ReceiveRequest) throws(DevmemError) {
    let connections = request.limits.atOnce
    try requireDescriptors(
        descriptorsNeeded(connections: connections, answers: request.answer != .nothing),
        to: "receive \(connections) connections at once")
}

/// Returns how many descriptors a session needs at most. Pure.
func descriptorsNeeded(connections: Int, answers: Bool) -> UInt64 {
    // The socket and the output; for an answer also a dma-buf, the file of its pages, its binding,
    // the input and two epolls.
    let each: UInt64 = answers ? 8 : 2
    return UInt64(clamping: max(1, min(connections, 1 << 20))) * each + 40
}

/// Waits for events on a connection that has finished sending: zerocopy completions, and the
/// acknowledgement of the FIN, which changes the connection's state. poll(2) would return at once
/// each time; edge-triggered epoll(7) reports only changes.
struct CompletionWaiter: ~Copyable {
    private let poller: Poller

    /// - Parameter connection: must stay open as long as this value is used.
    /// - Throws: `DevmemError` of kind `system` if epoll_create1(2) or epoll_ctl(2) fails.
    init(_ connection: borrowing Connection) throws(DevmemError) {
        let poller = try Poller()
        // A state change wakes waiters for any of these events; after the FIN is sent the kernel
        // always reports the socket as writable (`tcp_poll` of net/ipv4/tcp.c).
        try poller.add(connection.rawValue, for: [.input, .output], edgeTriggered: true)
        self.poller = poller
    }

    /// The descriptor to poll.
    var rawValue: Int32 { poller.rawValue }

    /// Consumes the reported events, so that only later ones are reported.
    func clear() {
        _ = try? poller.wait(milliseconds: 0) { _, _ in }
    }
}

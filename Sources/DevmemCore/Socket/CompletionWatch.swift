/// Reports what is new on a connection on which nothing more is sent: completions of sends, and the
/// acknowledgement of the end of the stream, which changes the state of the connection. poll(2) would
/// return at once each time; an edge-triggered epoll(7) reports changes only.
struct CompletionWatch: ~Copyable {
    private let poller: Poller

    /// - Parameter connection: must stay open as long as this is used.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of epoll_create1(2).
    init(_ connection: borrowing Connection) throws(DevmemError) {
        let poller = try Poller()
        // A change of state wakes whoever waits for any of these; once sending has ended the kernel
        // always calls the socket writable (`tcp_poll` of net/ipv4/tcp.c).
        try poller.add(connection.rawValue, for: [.input, .output], onlyNews: true)
        self.poller = poller
    }

    /// The descriptor to wait on.
    var rawValue: Int32 { poller.rawValue }

    /// Acknowledges what was reported, so that only later changes are.
    func clear() {
        _ = try? poller.wait(milliseconds: 0) { _, _ in }
    }
}

import CDevmem
import Glibc

/// Tells what is new on a connection on which nothing more is sent: completions of sends, and that
/// the peer has acknowledged the end of the stream, which changes the state of the connection. poll(2)
/// would have something to report at any time, an edge-triggered epoll only has what is new.
struct CompletionWatch: ~Copyable {
    private let descriptor: Descriptor

    /// - Parameter connection: must stay open as long as this is used.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of epoll_create1(2).
    init(_ connection: borrowing Connection) throws(DevmemError) {
        let call = "watch the connection to \(connection.peer)"
        let number = try retrying(call) { epoll_create1(cdm_EPOLL_CLOEXEC) }
        let watch = Descriptor(owning: number)
        var event = epoll_event()
        // The state's changes wake whoever waits for any of these; once sending has ended the
        // kernel always calls the socket writable (`tcp_poll` of net/ipv4/tcp.c).
        event.events = EPOLLIN.rawValue | EPOLLOUT.rawValue | cdm_EPOLLET
        try retrying(call) {
            epoll_ctl(number, EPOLL_CTL_ADD, connection.rawValue, &event)
        }
        descriptor = watch
    }

    /// The descriptor to poll for input.
    var rawValue: Int32 { descriptor.rawValue }

    /// Takes note, so that only what comes later is told.
    func clear() {
        var event = epoll_event()
        _ = epoll_wait(descriptor.rawValue, &event, 1, 0)
    }
}

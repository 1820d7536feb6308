import CDevmem
import Glibc

/// Tells when completions of sends come on a connection that is closed in both directions: poll(2)
/// then has a hang-up to report at any time, an edge-triggered epoll only when something is new.
struct CompletionWatch: ~Copyable {
    private let descriptor: Descriptor

    /// - Parameter connection: must stay open as long as this is used.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of epoll_create1(2).
    init(_ connection: borrowing Connection) throws(DevmemError) {
        let call = "watch the connection to \(connection.peer)"
        let number = try retrying(call) { epoll_create1(cdm_EPOLL_CLOEXEC) }
        let watch = Descriptor(owning: number)
        var event = epoll_event()
        event.events = cdm_EPOLLET
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

import CDevmem
import Glibc

/// Lets a session be stopped by signals: they are blocked and read from a descriptor, so that
/// there is no moment at which one ends the process before the NIC is as it was.
public struct StopSignal: ~Copyable {
    private let descriptor: Descriptor?

    /// Never stops.
    public init() {
        descriptor = nil
    }

    /// Blocks signals for this thread, and threads that it makes, and watches for them.
    ///
    /// - Parameter signals: signal numbers, such as `SIGINT`.
    /// - Throws: `DevmemError` of kind `system` if the kernel gives no signalfd(2).
    public init(_ signals: [Int32]) throws(DevmemError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        let number = try retrying("watch for signals") {
            signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
        }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = Descriptor(owning: number)
    }

    /// Watches for the signals with which a user or a system ends a program.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel gives no signalfd(2).
    public static func ofUser() throws(DevmemError) -> StopSignal {
        try StopSignal([SIGINT, SIGTERM, SIGHUP, SIGQUIT])
    }

    /// The signal that has arrived, if one has.
    public func pending() -> Int32? {
        guard let number = rawValue else { return nil }
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(number, &info, size) == size else { return nil }
        return Int32(info.ssi_signo)
    }

    private var rawValue: Int32? {
        switch descriptor {
        case .some(let open): open.rawValue
        case .none: nil
        }
    }

    /// How a wait ended.
    enum Wait: Equatable {
        case ready
        case timeout
        case stopped(by: Int32)
    }

    /// Waits until a descriptor is ready, a signal arrives or time is up.
    func wait(
        for number: Int32, events: Int32, milliseconds: Int32 = -1
    ) throws(DevmemError) -> Wait {
        var watched = [
            pollfd(fd: rawValue ?? -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: number, events: Int16(events), revents: 0),
        ]
        let count = try retrying("wait") { poll(&watched, 2, milliseconds) }
        if watched[0].revents != 0, let signal = pending() { return .stopped(by: signal) }
        return count == 0 ? .timeout : .ready
    }
}

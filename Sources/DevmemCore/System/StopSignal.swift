import CDevmem
import Glibc

/// Stops a session on signals. They are blocked and read from a descriptor, so that none can end
/// the process before the NIC's settings are restored.
public struct StopSignal: ~Copyable {
    private let descriptor: Descriptor?
    private let broadcast: StopBroadcast?

    /// Creates a value that never reports a signal.
    public init() {
        descriptor = nil
        broadcast = nil
    }

    /// Creates a value that reports the signal that another thread announces.
    package init(following broadcast: StopBroadcast) {
        descriptor = nil
        self.broadcast = broadcast
    }

    /// Blocks signals in this thread and in threads it creates, and watches for them.
    ///
    /// - Parameter signals: signal numbers, such as `SIGINT`.
    /// - Throws: `DevmemError` of kind `system` if signalfd(2) fails.
    public init(_ signals: [Int32]) throws(DevmemError) {
        var set = signalSet(signals)
        let number = try retrying("watch for signals") {
            signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
        }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = Descriptor(owning: number)
        broadcast = nil
    }

    /// Returns a value for all signals that end a program by default, except those of faults;
    /// signals that are ignored, as with nohup(1), stay ignored. A failing write does not end the
    /// program either.
    ///
    /// - Throws: `DevmemError` of kind `system` if signalfd(2) fails.
    public static func ofUser() throws(DevmemError) -> StopSignal {
        let stop = try StopSignal(SignalRole.signals(.stops).filter(hasDefaultAction))
        // Block rather than ignore: started programs would inherit the latter.
        var writes = signalSet(SignalRole.signals(.failsCall))
        pthread_sigmask(SIG_BLOCK, &writes, nil)
        return stop
    }

    /// A received signal.
    package struct Arrival: Equatable {
        package let signal: Int32
        /// Whether the terminal sent it, to every process in the foreground.
        package let isFromTerminal: Bool
    }

    /// Returns a signal if one has arrived.
    public func pending() -> Int32? { arrival()?.signal }

    /// Returns a signal if one has arrived, and where it came from.
    func arrival() -> Arrival? { announced ?? signalled() }

    private var announced: Arrival? {
        broadcast?.announced.map { Arrival(signal: $0, isFromTerminal: false) }
    }

    private func signalled() -> Arrival? {
        guard let number = signalDescriptor else { return nil }
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(number, &info, size) == size else { return nil }
        return Arrival(
            signal: Int32(info.ssi_signo), isFromTerminal: info.ssi_code == cdm_SI_KERNEL)
    }

    /// Waits for a signal.
    ///
    /// - Parameter milliseconds: the timeout.
    /// - Returns: the signal; nil on timeout.
    /// - Throws: `DevmemError` of kind `system` if poll(2) fails.
    public func wait(milliseconds: Int32) throws(DevmemError) -> Int32? {
        if case .stopped(let signal) = try wait(for: -1, events: 0, milliseconds: milliseconds) {
            return signal
        }
        return nil
    }

    /// The descriptor to poll for signals; nil if none can arrive.
    package var rawValue: Int32? { broadcast?.rawValue ?? signalDescriptor }

    private var signalDescriptor: Int32? {
        switch descriptor {
        case .some(let open): open.rawValue
        case .none: nil
        }
    }

    /// The result of a wait.
    package enum Wait: Equatable {
        case ready
        case timeout
        case stopped(by: Int32)
    }

    /// Waits until a descriptor is ready, a signal arrives or the timeout expires.
    package func wait(
        for number: Int32, events: Int32, milliseconds: Int32 = -1
    ) throws(DevmemError) -> Wait {
        var poller = BusyPoller()
        return try wait(for: number, events: events, milliseconds: milliseconds, by: &poller)
    }

    /// Does the same by a poller that may poll the NIC.
    func wait(
        for number: Int32, events: Int32, milliseconds: Int32, by poller: inout BusyPoller
    ) throws(DevmemError) -> Wait {
        var left = milliseconds
        let end = ContinuousClock.now + .milliseconds(max(0, milliseconds))
        var watched = PollSet<2>()
        watched.watch(0, rawValue)
        watched.watch(1, number, for: PollEvents(rawValue: UInt32(bitPattern: events)))
        while true {
            let count = try poller.wait(
                &watched, nanoseconds: left < 0 ? nil : UInt64(left) * 1_000_000)
            let isSignalled = !watched.ready(0).isEmpty
            if isSignalled, let signal = pending() { return .stopped(by: signal) }
            if count == 0 { return .timeout }
            guard isSignalled && count == 1 else { return .ready }
            // A wakeup without a signal does not extend the timeout.
            if milliseconds >= 0 {
                left = max(0, Int32(clamping: Int((end - .now) / .milliseconds(1))))
            }
        }
    }

    /// Waits until a descriptor is readable or a signal arrives.
    ///
    /// - Returns: the signal; nil if the descriptor was ready first.
    package func arrival(before number: Int32) throws(DevmemError) -> Arrival? {
        var watched = PollSet<2>()
        watched.watch(0, rawValue)
        watched.watch(1, number)
        while true {
            let count = try watched.wait()
            if !watched.ready(0).isEmpty { return arrival() }
            if count > 0 { return nil }
        }
    }

    /// Waits until a signal arrives.
    ///
    /// - Returns: its number.
    /// - Throws: `DevmemError` of kind `system` if poll(2) fails.
    package func arrived() throws(DevmemError) -> Int32 {
        while true {
            // poll(2) ignores descriptor -1.
            if case .stopped(let signal) = try wait(for: -1, events: 0) { return signal }
        }
    }
}

/// Returns a set of signals.
func signalSet(_ signals: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    return set
}

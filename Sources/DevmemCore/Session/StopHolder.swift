import Glibc
import SystemPackage

/// A watch for signals that several share, and that remembers the first that came.
final class StopHolder {
    /// For those who wait by themselves; what they find they `note`.
    let signal: StopSignal
    private var arrived: Int32?

    init(_ signal: consuming StopSignal) {
        self.signal = signal
    }

    /// The signal that has come, if one has.
    func pending() -> Int32? {
        if arrived == nil { arrived = signal.pending() }
        return arrived
    }

    /// Remembers a signal that somebody has read.
    func note(_ number: Int32) {
        arrived = arrived ?? number
    }

    /// Connects to a peer.
    ///
    /// - Throws: `DevmemError` as `wait` does, and as connecting fails.
    func connect(
        to peer: Endpoint, from local: Endpoint? = nil, milliseconds: Int32
    ) throws(DevmemError) -> Connection {
        let connection = try Connection(to: peer, from: local, pinnedTo: nil)
        try wait(
            for: connection.rawValue, events: Int32(POLLOUT), milliseconds: milliseconds,
            "connect to \(peer)")
        try connection.finishConnecting()
        return connection
    }

    /// Waits until a descriptor is ready, but not past a deadline.
    ///
    /// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if time is up, EINTR if a signal came.
    func wait(
        for number: Int32, events: Int32, until deadline: Deadline, _ call: String
    ) throws(DevmemError) {
        try wait(for: number, events: events, milliseconds: deadline.milliseconds, call)
    }

    /// Waits until a descriptor is ready.
    ///
    /// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if time is up, EINTR if a signal came.
    func wait(
        for number: Int32, events: Int32, milliseconds: Int32, _ call: String
    ) throws(DevmemError) {
        if let arrived { throw Self.interrupted(call, by: arrived) }
        switch try signal.wait(for: number, events: events, milliseconds: milliseconds) {
        case .ready: return
        case .timeout: throw DevmemError(.system, call: call, errno: .timedOut)
        case .stopped(let came):
            note(came)
            throw Self.interrupted(call, by: came)
        }
    }

    private static func interrupted(_ call: String, by signal: Int32) -> DevmemError {
        var error = DevmemError(.system, call: call, errno: .interrupted)
        error.signal = signal
        return error
    }
}

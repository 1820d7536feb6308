import Glibc
import SystemPackage

/// A watch for signals that several share, and that remembers the first that came.
package final class StopWatch {
    /// For those who wait by themselves; what they find they `note`.
    package let signal: StopSignal
    private var arrived: Int32?

    package init(_ signal: consuming StopSignal) {
        self.signal = signal
    }

    /// The signal that has come, if one has.
    package func pending() -> Int32? {
        if arrived == nil { arrived = signal.pending() }
        return arrived
    }

    /// Remembers a signal that somebody has read.
    package func note(_ number: Int32) {
        arrived = arrived ?? number
    }

    /// Connects to a peer.
    ///
    /// - Throws: `DevmemError` as `wait` does, and as connecting fails.
    package func connect(
        to peer: Endpoint, from local: Endpoint? = nil, milliseconds: Int32
    ) throws(DevmemError) -> Connection {
        let connection = try Connection(to: peer, from: local, pinnedTo: nil)
        try wait(
            for: connection.rawValue, events: Int32(POLLOUT), milliseconds: milliseconds,
            "connect to \(peer)")
        try connection.finishConnecting()
        return connection
    }

    /// Waits for a connection, but not past a deadline.
    ///
    /// - Throws: `DevmemError` as `wait` does; if the host was short of something until the deadline, it
    ///   says of what.
    package func accept(
        on listener: borrowing Listener, until deadline: Deadline, _ call: String
    ) throws(DevmemError) -> Connection {
        var shortage: DevmemError?
        while true {
            do throws(DevmemError) {
                try wait(
                    for: listener.rawValue, events: Int32(POLLIN), until: deadline, call)
            } catch {
                guard error.errno == .timedOut, let shortage else { throw error }
                throw shortage
            }
            shortage = nil
            if let connection = try listener.accept(short: { shortage = $0 }) { return connection }
        }
    }

    /// Waits until a descriptor is ready, but not past a deadline. Once it has passed it is too late,
    /// also if the descriptor is ready: a peer that sends without end must not keep anyone.
    ///
    /// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if time is up, EINTR if a signal came.
    package func wait(
        for number: Int32, events: Int32, until deadline: Deadline, _ call: String
    ) throws(DevmemError) {
        let left = deadline.milliseconds
        guard left > 0 else {
            if let arrived = pending() { throw Self.interrupted(call, by: arrived) }
            throw DevmemError(.system, call: call, errno: .timedOut)
        }
        try wait(for: number, events: events, milliseconds: left, call)
    }

    /// Waits until a descriptor is ready.
    ///
    /// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if time is up, EINTR if a signal came.
    package func wait(
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

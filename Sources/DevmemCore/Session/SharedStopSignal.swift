import Glibc
import SystemPackage

/// A stop signal shared by several users; it remembers the first signal that arrived.
package final class SharedStopSignal {
    /// The stop signal, for users that wait themselves and then call `note`.
    package let signal: StopSignal
    private var arrived: Int32?

    package init(_ signal: consuming StopSignal) {
        self.signal = signal
    }

    /// Returns the signal that arrived; nil if none did.
    package func pending() -> Int32? {
        if arrived == nil { arrived = signal.pending() }
        return arrived
    }

    /// Records a signal that someone else has read.
    package func note(_ number: Int32) {
        arrived = arrived ?? number
    }

    /// Connects to a peer.
    ///
    /// - Throws: `DevmemError` like `wait`, or if connecting fails.
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

    /// Waits for a connection until a deadline.
    ///
    /// - Throws: `DevmemError` like `wait`, or with the exhausted resource if that lasts until the
    ///   deadline.
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

    /// Waits until a descriptor is ready or a deadline passes. After the deadline it fails even if
    /// the descriptor is ready, so that a peer that keeps sending cannot delay the caller.
    ///
    /// - Throws: `DevmemError` of kind `system` with ETIMEDOUT after the deadline, EINTR if a
    ///   signal arrived.
    package func wait(
        for number: Int32, events: Int32, until deadline: Deadline, _ call: String
    ) throws(DevmemError) {
        let left = deadline.milliseconds
        guard left > 0 else {
            if let arrived = pending() { throw DevmemError.interrupted(call, by: arrived) }
            throw DevmemError(.system, call: call, errno: .timedOut)
        }
        try wait(for: number, events: events, milliseconds: left, call)
    }

    /// Waits until a descriptor is ready.
    ///
    /// - Throws: `DevmemError` of kind `system` with ETIMEDOUT after the timeout, EINTR if a signal
    ///   arrived.
    package func wait(
        for number: Int32, events: Int32, milliseconds: Int32, _ call: String
    ) throws(DevmemError) {
        if let arrived { throw DevmemError.interrupted(call, by: arrived) }
        switch try signal.wait(for: number, events: events, milliseconds: milliseconds) {
        case .ready: return
        case .timeout: throw DevmemError(.system, call: call, errno: .timedOut)
        case .stopped(let came):
            note(came)
            throw DevmemError.interrupted(call, by: came)
        }
    }
}

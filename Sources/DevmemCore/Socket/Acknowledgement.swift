import CDevmem
import Glibc
package import SystemPackage

extension Connection {
    /// What was given to the kernel and not yet acknowledged by the peer, in bytes; the end of the
    /// stream counts as one (SIOCOUTQ of tcp(7)). A connection that was reset still tells it.
    ///
    /// - Throws: `DevmemError` of kind `system` as ioctl(2) fails.
    func unacknowledged() throws(DevmemError) -> Int {
        var count: Int32 = 0
        let number = rawValue
        try retrying("ask what \(peer) has acknowledged") {
            cdm_ioctl(number, UInt(TIOCOUTQ), &count)
        }
        return Int(count)
    }

    /// Whether the peer has acknowledged everything, the end of the stream included.
    ///
    /// - Returns: whether it has; false as long as it may yet do so.
    /// - Throws: `DevmemError` of kind `system` with the connection's error if it ended before.
    package func hasDelivered() throws(DevmemError) -> Bool {
        // Asked first: what is unacknowledged after the end stays so, but between the two questions
        // the last acknowledgement may come and end the connection.
        let hasEnded = isClosed
        let left = try unacknowledged()
        if let error = pendingError() { throw deliveryError(error) }
        if left == 0 { return true }
        // Whoever read the error before has taken it away.
        if hasEnded { throw deliveryError(.connectionReset) }
        return false
    }

    /// The error of a connection that ended before the peer had everything.
    package func deliveryError(_ error: Errno) -> DevmemError {
        DevmemError(.system, .init(.send, "send to \(peer)"), errno: error).explainingLoss()
    }

    /// Whether the kernel has given the connection up (`TCP_CLOSE` of net/tcp_states.h).
    private var isClosed: Bool {
        var info = tcp_info()
        var length = socklen_t(MemoryLayout<tcp_info>.size)
        let result = getsockopt(rawValue, cdm_IPPROTO_TCP, TCP_INFO, &info, &length)
        return result == 0 && info.tcpi_state == cdm_TCP_CLOSE
    }
}

extension DevmemError {
    /// The same error of an established connection, with what it means where that is known.
    func explainingLoss() -> DevmemError {
        switch errno {
        case .connectionReset, .brokenPipe:
            advising("the peer closed the connection before the stream ended")
        case .timedOut: advising("the peer no longer answers: it or the network is down")
        case .noRouteToHost, .networkUnreachable:
            advising("the network reports that the peer is unreachable")
        default: self
        }
    }

    /// The same error of a connection, with how much the peer had acknowledged by then.
    func noting(acknowledged: UInt64, of sent: UInt64) -> DevmemError {
        var copy = self
        let text = "the peer acknowledged \(acknowledged) of \(sent) bytes"
        copy.message = message.map { "\($0), \(text)" } ?? text
        return copy
    }
}

import CDevmem
import Glibc
package import SystemPackage

extension Connection {
    /// Returns the bytes that the peer has not acknowledged; the FIN counts as one (SIOCOUTQ of
    /// tcp(7)). The count is available even after a reset.
    ///
    /// - Throws: `DevmemError` of kind `system` if ioctl(2) fails.
    func unacknowledged() throws(DevmemError) -> Int {
        var count: Int32 = 0
        let number = rawValue
        try retrying("read what \(peer) has acknowledged") {
            cdm_ioctl(number, UInt(TIOCOUTQ), &count)
        }
        return Int(count)
    }

    /// Returns whether the peer has acknowledged all data and the FIN.
    ///
    /// - Throws: `DevmemError` of kind `system` with the connection's error if it ended before.
    package func hasDelivered() throws(DevmemError) -> Bool {
        // Check this first: the count no longer changes after the end, but the last acknowledgement
        // may arrive, and end the connection, between the two calls.
        let hasEnded = isClosed
        let left = try unacknowledged()
        if let error = pendingError() { throw deliveryError(error) }
        if left == 0 { return true }
        // Reading the pending error clears it, so an earlier call may have consumed it.
        if hasEnded { throw deliveryError(.connectionReset) }
        return false
    }

    /// Returns the error of a connection that ended before all data was acknowledged.
    package func deliveryError(_ error: Errno) -> DevmemError {
        DevmemError(.system, .init(.send, "send to \(peer)"), errno: error).explainingDisconnect()
    }

    /// Whether the connection is in state `TCP_CLOSE` (net/tcp_states.h).
    private var isClosed: Bool {
        var info = tcp_info()
        var length = socklen_t(MemoryLayout<tcp_info>.size)
        let result = getsockopt(rawValue, cdm_IPPROTO_TCP, TCP_INFO, &info, &length)
        return result == 0 && info.tcpi_state == cdm_TCP_CLOSE
    }
}

extension DevmemError {
    /// Returns this error with advice on why an established connection failed, if that is known.
    func explainingDisconnect() -> DevmemError {
        switch errno {
        case .connectionReset, .brokenPipe:
            advising("the peer closed the connection before the stream ended")
        case .timedOut: advising("the peer no longer answers: it or the network is down")
        case .noRouteToHost, .networkUnreachable:
            advising("the network reports that the peer is unreachable")
        default: self
        }
    }

    /// Returns this error with the number of bytes that the peer had acknowledged.
    func noting(acknowledged: UInt64, of sent: UInt64) -> DevmemError {
        var copy = self
        let text = "the peer acknowledged \(acknowledged) of \(sent) bytes"
        copy.message = message.map { "\($0), \(text)" } ?? text
        return copy
    }
}

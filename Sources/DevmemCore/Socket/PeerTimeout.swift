import CDevmem
import Glibc

/// How long a peer may stay silent before its connection is given up: TCP by itself notices a peer
/// that vanished only when it sends, and then after a quarter of an hour.
///
/// Not TCP_USER_TIMEOUT: that also ends connections whose peer answers and merely has no room, as
/// behind a slow reader (`tcp_probe_timer` of net/ipv4/tcp_timer.c).
package struct PeerTimeout: Equatable, Sendable {
    /// What a connection has unless its user says otherwise: two minutes.
    package static let standard = PeerTimeout(limit: 120)
    /// The kernel's own: a peer may stay silent for any time while nothing is sent to it.
    package static let off = PeerTimeout(limit: nil)

    /// The numbers of seconds that can be had (`MAX_TCP_KEEPIDLE` of net/tcp.h bounds each half).
    package static let range = 2...65_534

    /// Seconds; nil for any time.
    package let seconds: Int?

    private init(limit: Int?) {
        seconds = limit
    }

    /// Makes a timeout; nil if the number of seconds is out of range.
    package init?(seconds: Int) {
        guard Self.range.contains(seconds) else { return nil }
        self.init(limit: seconds)
    }

    /// When nothing has come for so many seconds, the peer is asked whether it is there
    /// (TCP_KEEPIDLE of tcp(7)).
    var idle: Int32 { Int32(clamping: max(1, (seconds ?? 0) / 2)) }

    /// It is asked so often (TCP_KEEPCNT).
    var probes: Int32 { Int32(clamping: min(5, max(1, (seconds ?? 0) / 2))) }

    /// Seconds between two questions (TCP_KEEPINTVL). The last one has as long for its answer.
    var interval: Int32 { Int32(clamping: max(1, ((seconds ?? 0) - Int(idle)) / Int(probes))) }

    /// Milliseconds at most between two attempts to get data across (TCP_RTO_MAX_MS, from Linux 6.15
    /// on). There are 15 (net.ipv4.tcp_retries2), the first of which follow each other fast.
    var retransmission: Int32 { Int32(clamping: min(120, max(1, (seconds ?? 0) / 12)) * 1000) }
}

extension Connection {
    /// Has the kernel end the connection with ETIMEDOUT when the peer has been silent for so long. To be
    /// said once, as a longer time does not take the place of a shorter one.
    ///
    /// - Throws: `DevmemError` of kind `system` as setsockopt(2) fails.
    func endWhenSilent(for timeout: PeerTimeout) throws(DevmemError) {
        let call = "watch whether \(peer) is there"
        // The system's settings stay for data in flight (net.ipv4.tcp_retries2, tcp_rto_max_ms).
        guard timeout.seconds != nil else { return }
        try setOption(socket, cdm_IPPROTO_TCP, TCP_KEEPIDLE, timeout.idle, call)
        try setOption(socket, cdm_IPPROTO_TCP, TCP_KEEPINTVL, timeout.interval, call)
        try setOption(socket, cdm_IPPROTO_TCP, TCP_KEEPCNT, timeout.probes, call)
        try setOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1, call)
        // An older kernel gives data in flight the time that it always does. An administrator who
        // wants attempts to follow each other faster has his way (net.ipv4.tcp_rto_max_ms).
        guard let present = longestRetransmission, present > timeout.retransmission else { return }
        try? setOption(
            socket, cdm_IPPROTO_TCP, cdm_TCP_RTO_MAX_MS, timeout.retransmission, call)
    }

    /// Milliseconds at most between two attempts to get data across; nil if the kernel does not tell.
    var longestRetransmission: Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = getsockopt(
            rawValue, cdm_IPPROTO_TCP, cdm_TCP_RTO_MAX_MS, &value, &length)
        return result == 0 ? value : nil
    }
}

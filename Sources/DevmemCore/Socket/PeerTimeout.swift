import CDevmem
import Glibc

/// How long a peer may stay silent before its connection is closed. By default TCP notices a
/// vanished peer only when it sends, and then only after about 15 minutes.
///
/// This does not use TCP_USER_TIMEOUT, which also closes connections whose peer is alive but has a
/// full receive buffer (`tcp_probe_timer` of net/ipv4/tcp_timer.c).
package struct PeerTimeout: Equatable, Sendable {
    /// The default: two minutes.
    package static let standard = PeerTimeout(limit: 120)
    /// The kernel's default: no limit while nothing is sent to the peer.
    package static let off = PeerTimeout(limit: nil)

    /// The valid numbers of seconds (`MAX_TCP_KEEPIDLE` of net/tcp.h limits each half).
    package static let range = 2...65_534

    /// The timeout in seconds; nil for none.
    package let seconds: Int?

    private init(limit: Int?) {
        seconds = limit
    }

    /// Creates a timeout; nil if the number of seconds is out of range.
    package init?(seconds: Int) {
        guard Self.range.contains(seconds) else { return nil }
        self.init(limit: seconds)
    }

    /// The idle time in seconds before the first keepalive probe (TCP_KEEPIDLE of tcp(7)).
    var idle: Int32 { Int32(clamping: max(1, (seconds ?? 0) / 2)) }

    /// The number of keepalive probes (TCP_KEEPCNT).
    var probes: Int32 { Int32(clamping: min(5, max(1, (seconds ?? 0) / 2))) }

    /// The seconds between two probes, and after the last one (TCP_KEEPINTVL).
    var interval: Int32 { Int32(clamping: max(1, ((seconds ?? 0) - Int(idle)) / Int(probes))) }

    /// The maximum retransmission timeout in milliseconds (TCP_RTO_MAX_MS, since Linux 6.15). There
    /// are 15 retransmissions (net.ipv4.tcp_retries2), the first of them in quick succession.
    var retransmission: Int32 { Int32(clamping: min(120, max(1, (seconds ?? 0) / 12)) * 1000) }
}

extension Connection {
    /// Makes the kernel end the connection with ETIMEDOUT when the peer has been silent for the
    /// timeout. Call it once: a later, longer timeout does not replace a shorter one.
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    func enableKeepalive(for timeout: PeerTimeout) throws(DevmemError) {
        let call = "enable keepalive for \(peer)"
        // The system's settings apply to data in flight (net.ipv4.tcp_retries2, tcp_rto_max_ms).
        guard timeout.seconds != nil else { return }
        try setOption(socket, cdm_IPPROTO_TCP, TCP_KEEPIDLE, timeout.idle, call)
        try setOption(socket, cdm_IPPROTO_TCP, TCP_KEEPINTVL, timeout.interval, call)
        try setOption(socket, cdm_IPPROTO_TCP, TCP_KEEPCNT, timeout.probes, call)
        try setOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1, call)
        // An older kernel keeps its own timeout for data in flight. A lower limit set by the
        // administrator (net.ipv4.tcp_rto_max_ms) stays.
        guard let present = maximumRetransmissionTimeout, present > timeout.retransmission else {
            return
        }
        try? setOption(
            socket, cdm_IPPROTO_TCP, cdm_TCP_RTO_MAX_MS, timeout.retransmission, call)
    }

    /// The maximum retransmission timeout in milliseconds; nil if unknown.
    var maximumRetransmissionTimeout: Int32? {
        option(cdm_IPPROTO_TCP, cdm_TCP_RTO_MAX_MS, of: rawValue)
    }
}

import DevmemCore
import CDevmem
import Glibc

/// Statistics of a TCP connection (TCP_INFO of tcp(7)).
struct ConnectionInfo: Equatable, Sendable {
    /// Segments retransmitted so far.
    var retransmits: UInt64
    /// The smoothed round-trip time in microseconds.
    var roundTrip: UInt64
    /// The variation of the round-trip time in microseconds.
    var roundTripVariation: UInt64
}

extension Connection {
    /// Reads the statistics; nil if that fails.
    func info() -> ConnectionInfo? {
        var info = tcp_info()
        var length = socklen_t(MemoryLayout<tcp_info>.size)
        guard getsockopt(rawValue, cdm_IPPROTO_TCP, TCP_INFO, &info, &length) == 0 else {
            return nil
        }
        return ConnectionInfo(
            retransmits: UInt64(info.tcpi_total_retrans), roundTrip: UInt64(info.tcpi_rtt),
            roundTripVariation: UInt64(info.tcpi_rttvar))
    }

    /// Applies the socket options of a plan.
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    func tune(for plan: BenchPlan) throws(DevmemError) {
        if let name = plan.congestion { try setCongestionControl(name) }
        if let pace = plan.pace {
            let number = rawValue
            try retrying("pace the connection to \(peer)") {
                withUnsafePointer(to: pace) {
                    setsockopt(
                        number, SOL_SOCKET, cdm_SO_MAX_PACING_RATE, $0,
                        socklen_t(MemoryLayout<UInt64>.size))
                }
            }
        }
        if plan.requestSize != nil { try disableNagle() }
    }

    private func setCongestionControl(_ name: String) throws(DevmemError) {
        let number = rawValue
        do throws(DevmemError) {
            try retrying("set congestion control \(name)") {
                name.withCString {
                    setsockopt(
                        number, cdm_IPPROTO_TCP, TCP_CONGESTION, $0, socklen_t(strlen($0)))
                }
            }
        } catch {
            throw error.advising(
                "sysctl net.ipv4.tcp_available_congestion_control lists the available ones")
        }
    }
}

extension Listener {
    /// Sets the maximum segment size of future connections, in both directions (TCP_MAXSEG of
    /// tcp(7)).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses the value.
    func limitSegments(to bytes: Int) throws(DevmemError) {
        let number = rawValue
        try retrying("set the segment size of \(endpoint)") {
            withUnsafePointer(to: Int32(clamping: bytes)) {
                setsockopt(
                    number, cdm_IPPROTO_TCP, TCP_MAXSEG, $0,
                    socklen_t(MemoryLayout<Int32>.size))
            }
        }
    }
}

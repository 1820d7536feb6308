import Logging

/// What a receive session did. The keys of its JSON form are stable; `version` counts changes
/// that would break a reader.
package struct ReceiveReport: Codable, Equatable, Sendable {
    /// Version of this form.
    package var version = 1
    /// The NIC.
    package var interface: String
    /// Its driver, if known.
    package var driver: String?
    /// Receive queues bound to the dma-buf.
    package var queues: [UInt32]
    /// Size of the dma-buf in bytes.
    package var dmabufBytes: UInt64
    /// Where it listened.
    package var listen: String
    /// The connection's number, counted from 1, where there may be several.
    package var connection: Int?
    /// Who connected; nil if nobody did.
    package var peer: String?
    /// Seconds from the connection to its end.
    package var seconds = 0.0
    /// Processor time of this process in that span, in user mode, in seconds.
    package var userSeconds = 0.0
    /// Processor time of this process in that span, in the kernel, in seconds.
    package var systemSeconds = 0.0
    /// What came.
    package var counts = ReceiveCounts()
    /// Payload bytes that were sent back; nil if none were to be.
    package var answeredBytes: UInt64?
    /// Payload bytes that were written to the file past the page cache straight from the dma-buf's
    /// mapping; nil if none were to be.
    package var directBytes: UInt64?
    /// The comparison with a pattern, if one was asked for.
    package var validation: PatternComparison?
    /// How much of the payload came in device memory, and why the rest did not; nil before the end.
    package var placement: PayloadPlacement?
    /// The signal that ended the session; nil if the peer did.
    package var stoppedBy: Int32?
    /// What went wrong, in one line; nil if nothing did.
    package var failure: String?
    /// The address that the connection came from.
    var peerAddress: IPAddress?
    /// The port that it came from.
    var peerPort: UInt16?
    /// The NAPI instance that the connection's last packet came through.
    var napiID: UInt32?

    /// Payload bytes a second; zero if no time passed.
    package var bytesPerSecond: Double {
        seconds > 0 ? Double(counts.bytes) / seconds : 0
    }

    /// The part of the payload that came in device memory, from 0 to 1; zero without payload.
    package var deviceShare: Double {
        counts.bytes > 0 ? Double(counts.deviceBytes) / Double(counts.bytes) : 0
    }

    private enum CodingKeys: String, CodingKey {
        case version, interface, driver, queues, listen, connection, peer, seconds
        case validation, placement, failure
        case answeredBytes = "answered_bytes"
        case directBytes = "direct_bytes"
        case dmabufBytes = "dmabuf_bytes"
        case userSeconds = "cpu_user_seconds"
        case systemSeconds = "cpu_system_seconds"
        case counts
        case stoppedBy = "stopped_by_signal"
    }

    init(
        interface: String, driver: String?, queues: [UInt32], dmabufBytes: UInt64, listen: String
    ) {
        self.interface = interface
        self.driver = driver
        self.queues = queues
        self.dmabufBytes = dmabufBytes
        self.listen = listen
    }
}

extension BoundNIC {
    /// Says of a connection's payload how much came in device memory, and warns of what did not,
    /// unless the caller makes a failure of that.
    func judge(_ report: inout ReceiveReport, isFailure: Bool, logger: Logger) {
        let counts = report.counts
        let ended = report
        func stream() -> MisplacedStream {
            var stream = MisplacedStream(counts, from: ended.peerAddress, through: ended.napiID)
            stream.peerPort = ended.peerPort
            stream.began = .now - .seconds(ended.seconds)
            return stream
        }
        let placement = placement(of: counts, in: stream())
        report.placement = placement
        guard let reason = placement.reason, !(isFailure && placement.verdict == .host)
        else { return }
        logger.warning(
            """
            \(counts.bytes - counts.deviceBytes) of \(counts.bytes) bytes from \
            \(ended.peer ?? "the peer") came outside device memory: \(reason)
            """)
    }
}

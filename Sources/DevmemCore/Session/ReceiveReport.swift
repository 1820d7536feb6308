import Logging

/// The result of a receive session or connection. The keys of its JSON form are stable; `version`
/// counts incompatible changes.
package struct ReceiveReport: Codable, Equatable, Sendable {
    /// The version of the JSON form.
    package var version = 1
    /// The NIC.
    package var interface: String
    /// The NIC's driver; nil if unknown.
    package var driver: String?
    /// The receive queues bound to the dma-buf.
    package var queues: [UInt32]
    /// The size of the dma-buf in bytes.
    package var dmabufBytes: UInt64
    /// The addresses listened on.
    package var listen: String
    /// The way in which payload is received.
    package var engine = ReceiveEngine.socket
    /// Why that engine was chosen; nil if the user chose it.
    package var engineReason: String?
    /// The size in bytes of the buffers that the NIC fills; nil for one page.
    package var pageSize: UInt32?
    /// Why larger buffers were not used; nil if none were wanted or refused.
    package var pageSizeReason: String?
    /// How long the thread polls the NIC before it sleeps, in microseconds; nil for no busy polling.
    package var busyPoll: UInt32?
    /// The processors that the thread runs on, as a list; nil if unknown.
    package var processors: String?
    /// Why those; nil if the user chose them.
    package var processorsReason: String?
    /// Whether a thread of the kernel polls the queue that received the connection's last packet, and
    /// not softirqs; nil if unknown.
    package var isNAPIThreaded: Bool?
    /// The connection's number, counted from 1; nil in a session of one connection.
    package var connection: Int?
    /// The peer's address; nil if no peer connected.
    package var peer: String?
    /// The duration of the connection in seconds.
    package var seconds = 0.0
    /// This thread's CPU time in user mode during the connection, in seconds.
    package var userSeconds = 0.0
    /// This thread's CPU time in the kernel during the connection, in seconds.
    package var systemSeconds = 0.0
    /// The counts of received payload.
    package var counts = ReceiveCounts()
    /// Payload bytes sent back; nil if no answer was requested.
    package var answeredBytes: UInt64?
    /// Payload bytes written to the file with O_DIRECT from the dma-buf's mapping, without a copy;
    /// nil if that was not requested.
    package var directBytes: UInt64?
    /// The result of comparing the payload with a pattern; nil if that was not requested.
    package var validation: PatternComparison?
    /// How much of the payload arrived in device memory, and why the rest did not; nil before the
    /// end.
    package var placement: PayloadPlacement?
    /// The signal that ended the session; nil if none did.
    package var stoppedBy: Int32?
    /// The failure as a single line; nil if there is none.
    package var failure: String?
    /// The peer's IP address.
    var peerAddress: IPAddress?
    /// The peer's port.
    var peerPort: UInt16?
    /// The NAPI instance that received the connection's last packet.
    var napiID: UInt32?

    /// Payload bytes per second; 0 if no time has passed.
    package var bytesPerSecond: Double {
        seconds > 0 ? Double(counts.bytes) / seconds : 0
    }

    /// The fraction of the payload that arrived in device memory, from 0 to 1; 0 without payload.
    package var deviceShare: Double {
        counts.bytes > 0 ? Double(counts.deviceBytes) / Double(counts.bytes) : 0
    }

    private enum CodingKeys: String, CodingKey {
        case version, interface, driver, queues, listen, connection, peer, seconds
        case validation, placement, failure, engine
        case engineReason = "engine_reason"
        case pageSize = "rx_page_bytes"
        case pageSizeReason = "rx_page_reason"
        case busyPoll = "busy_poll_us"
        case processors = "cpus"
        case processorsReason = "cpus_reason"
        case isNAPIThreaded = "napi_threaded"
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

/// Records that received payload could not be stored where the user sees it: in a session's report, or
/// in the log if the report does not show it.
///
/// - Parameters:
///   - error: why.
///   - failure: the report's failure, set if it is nil.
///   - isShown: whether the report's failure is shown, as it is unless a signal has ended the session.
///   - logger: logs the error at level error if the report does not show it.
func noteStoreFailure(
    _ error: String, in failure: inout String?, isShown: Bool, logger: Logger
) {
    if failure != nil || !isShown { logger.error("\(error)") }
    failure = failure ?? error
}

extension BoundNIC {
    /// Sets the placement of a connection's payload. Warns of payload outside device memory unless
    /// the caller treats it as a failure.
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

/// What a receive session did. The keys of its JSON form are stable; `version` counts changes
/// that would break a reader.
public struct ReceiveReport: Codable, Equatable, Sendable {
    /// Version of this form.
    public var version = 1
    /// The NIC.
    public var interface: String
    /// Its driver, if known.
    public var driver: String?
    /// Receive queues bound to the dma-buf.
    public var queues: [UInt32]
    /// Size of the dma-buf in bytes.
    public var dmabufBytes: UInt64
    /// Where it listened.
    public var listen: String
    /// The connection's number, counted from 1, where there may be several.
    public var connection: Int?
    /// Who connected; nil if nobody did.
    public var peer: String?
    /// Seconds from the connection to its end.
    public var seconds = 0.0
    /// Processor time of this process in that span, in user mode, in seconds.
    public var userSeconds = 0.0
    /// Processor time of this process in that span, in the kernel, in seconds.
    public var systemSeconds = 0.0
    /// What came.
    public var counts = Counts()
    /// Payload bytes that were sent back; nil if none were to be.
    public var answeredBytes: UInt64?
    /// Payload bytes that were written to the file past the page cache straight from the dma-buf's
    /// mapping; nil if none were to be.
    public var straightBytes: UInt64?
    /// The comparison with a pattern, if one was asked for.
    public var validation: Validation?
    /// How much of the payload came in device memory, and why the rest did not; nil before the end.
    public var placement: PayloadPlacement?
    /// The signal that ended the session; nil if the peer did.
    public var stoppedBy: Int32?
    /// What went wrong, in one line; nil if nothing did.
    public var failure: String?
    /// The address that the connection came from.
    var peerAddress: IPAddress?
    /// The port that it came from.
    var peerPort: UInt16?
    /// The NAPI instance that the connection's last packet came through.
    var napiID: UInt32?

    /// Payload and the calls that it took.
    public struct Counts: Codable, Equatable, Sendable {
        /// Payload bytes that came in device memory.
        public var deviceBytes: UInt64 = 0
        /// Payload bytes that the kernel copied from the head of a device memory packet.
        public var linearBytes: UInt64 = 0
        /// Payload bytes that came as on any TCP socket.
        public var ordinaryBytes: UInt64 = 0
        /// Fragments of device memory.
        public var fragments: UInt64 = 0
        /// Calls of recvmsg(2) that brought payload.
        public var receiveCalls: UInt64 = 0
        /// Calls of setsockopt(SO_DEVMEM_DONTNEED).
        public var tokenCalls: UInt64 = 0
        /// Ranges of tokens in these calls.
        public var tokenRanges: UInt64 = 0

        /// Payload bytes in all.
        public var bytes: UInt64 {
            deviceBytes.saturatingAdding(linearBytes).saturatingAdding(ordinaryBytes)
        }

        /// No counts.
        public init() {}

        private enum CodingKeys: String, CodingKey {
            case deviceBytes = "device_bytes"
            case linearBytes = "linear_bytes"
            case ordinaryBytes = "ordinary_bytes"
            case fragments
            case receiveCalls = "recvmsg_calls"
            case tokenCalls = "token_calls"
            case tokenRanges = "token_ranges"
        }
    }

    /// How the payload compares with a pattern.
    public struct Validation: Codable, Equatable, Sendable {
        /// Bytes compared.
        public var checkedBytes: UInt64
        /// Bytes that differ.
        public var wrongBytes: UInt64
        /// The first byte that differs.
        public var firstMismatch: PatternChecker.Mismatch?

        private enum CodingKeys: String, CodingKey {
            case checkedBytes = "checked_bytes"
            case wrongBytes = "wrong_bytes"
            case firstMismatch = "first_mismatch"
        }
    }

    /// Payload bytes a second; zero if no time passed.
    public var bytesPerSecond: Double {
        seconds > 0 ? Double(counts.bytes) / seconds : 0
    }

    /// The part of the payload that came in device memory, from 0 to 1; zero without payload.
    public var deviceShare: Double {
        counts.bytes > 0 ? Double(counts.deviceBytes) / Double(counts.bytes) : 0
    }

    private enum CodingKeys: String, CodingKey {
        case version, interface, driver, queues, listen, connection, peer, seconds
        case validation, placement, failure
        case answeredBytes = "answered_bytes"
        case straightBytes = "direct_bytes"
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

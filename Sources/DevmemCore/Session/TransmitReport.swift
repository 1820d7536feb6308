/// What a transmit session did. The keys of its JSON form are stable; `version` counts changes
/// that would break a reader.
public struct TransmitReport: Codable, Equatable, Sendable {
    /// Version of this form.
    public var version = 1
    /// The NIC; nil if ordinary memory was sent.
    public var interface: String?
    /// Its driver, if known.
    public var driver: String?
    /// Size of the memory sent from, in bytes.
    public var memoryBytes: UInt64
    /// This end.
    public var local: String?
    /// The other end.
    public var peer: String
    /// Seconds from the connection to its end.
    public var seconds = 0.0
    /// Processor time of this process in that span, in user mode, in seconds.
    public var userSeconds = 0.0
    /// Processor time of this process in that span, in the kernel, in seconds.
    public var systemSeconds = 0.0
    /// What was sent.
    public var counts = Counts()
    /// The comparison of what came back with a pattern, if one was asked for.
    public var validation: ReceiveReport.Validation?
    /// Whether the peer had closed its direction by the end.
    public var peerClosed = false
    /// The signal that ended the session; nil if it came to its end.
    public var stoppedBy: Int32?
    /// What went wrong, in one line; nil if nothing did.
    public var failure: String?

    /// Payload and the calls that it took.
    public struct Counts: Codable, Equatable, Sendable {
        /// Payload bytes that the kernel took.
        public var sentBytes: UInt64 = 0
        /// How many of them the peer has acknowledged.
        public var acknowledgedBytes: UInt64 = 0
        /// Payload bytes that came back.
        public var receivedBytes: UInt64 = 0
        /// Calls of read(2) for input.
        public var inputCalls: UInt64 = 0
        /// Calls of sendmsg(2) that took payload.
        public var sendCalls: UInt64 = 0
        /// Messages of the error queue, each of which completes a run of sends.
        public var completions: UInt64 = 0
        /// Sends that the kernel says it copied.
        public var copiedSends: UInt64 = 0
        /// Times that too many sends waited for completion (ENOBUFS).
        public var bufferWaits: UInt64 = 0

        /// No counts.
        public init() {}

        private enum CodingKeys: String, CodingKey {
            case sentBytes = "sent_bytes"
            case acknowledgedBytes = "acknowledged_bytes"
            case receivedBytes = "received_bytes"
            case inputCalls = "input_calls"
            case sendCalls = "sendmsg_calls"
            case completions
            case copiedSends = "copied_sends"
            case bufferWaits = "buffer_waits"
        }
    }

    /// Payload bytes sent a second; zero if no time passed.
    public var bytesPerSecond: Double {
        seconds > 0 ? Double(counts.sentBytes) / seconds : 0
    }

    private enum CodingKeys: String, CodingKey {
        case version, interface, driver, local, peer, seconds, counts, validation, failure
        case memoryBytes = "memory_bytes"
        case userSeconds = "cpu_user_seconds"
        case systemSeconds = "cpu_system_seconds"
        case peerClosed = "peer_closed"
        case stoppedBy = "stopped_by_signal"
    }

    init(interface: String?, driver: String?, memoryBytes: UInt64, peer: String) {
        self.interface = interface
        self.driver = driver
        self.memoryBytes = memoryBytes
        self.peer = peer
    }
}

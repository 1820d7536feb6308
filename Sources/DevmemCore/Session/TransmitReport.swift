/// The result of a transmit session. The keys of its JSON form are stable; `version` counts
/// incompatible changes.
package struct TransmitReport: Codable, Equatable, Sendable {
    /// The version of the JSON form.
    package var version = 1
    /// The NIC; nil if ordinary memory was sent.
    package var interface: String?
    /// The NIC's driver; nil if unknown.
    package var driver: String?
    /// The size of the sent memory in bytes.
    package var memoryBytes: UInt64
    /// The local address.
    package var local: String?
    /// The peer's address.
    package var peer: String
    /// The duration of the connection in seconds.
    package var seconds = 0.0
    /// This thread's CPU time in user mode during the connection, in seconds.
    package var userSeconds = 0.0
    /// This thread's CPU time in the kernel during the connection, in seconds.
    package var systemSeconds = 0.0
    /// How long the thread polls the NIC before it sleeps, in microseconds; nil for no busy polling.
    package var busyPoll: UInt32?
    /// The processors that the thread runs on, as a list; nil if unknown.
    package var processors: String?
    /// Why those; nil if the user chose them.
    package var processorsReason: String?
    /// Whether a thread of the kernel polls the queue that received the connection's last packet, and
    /// not softirqs; nil if unknown.
    package var isNAPIThreaded: Bool?
    /// The counts of sent payload.
    package var counts = SendCounts()
    /// The result of comparing received payload with a pattern; nil if that was not requested.
    package var validation: PatternComparison?
    /// Whether the peer has closed its direction.
    package var peerClosed = false
    /// The signal that ended the session; nil if none did.
    package var stoppedBy: Int32?
    /// The failure as a single line; nil if there is none.
    package var failure: String?

    /// Payload bytes sent per second; 0 if no time has passed.
    package var bytesPerSecond: Double {
        seconds > 0 ? Double(counts.sentBytes) / seconds : 0
    }

    private enum CodingKeys: String, CodingKey {
        case version, interface, driver, local, peer, seconds, counts, validation, failure
        case memoryBytes = "memory_bytes"
        case userSeconds = "cpu_user_seconds"
        case systemSeconds = "cpu_system_seconds"
        case busyPoll = "busy_poll_us"
        case processors = "cpus"
        case processorsReason = "cpus_reason"
        case isNAPIThreaded = "napi_threaded"
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

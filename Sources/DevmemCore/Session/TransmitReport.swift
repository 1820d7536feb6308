/// What a transmit session did. The keys of its JSON form are stable; `version` counts changes
/// that would break a reader.
package struct TransmitReport: Codable, Equatable, Sendable {
    /// Version of this form.
    package var version = 1
    /// The NIC; nil if ordinary memory was sent.
    package var interface: String?
    /// Its driver, if known.
    package var driver: String?
    /// Size of the memory sent from, in bytes.
    package var memoryBytes: UInt64
    /// This end.
    package var local: String?
    /// The other end.
    package var peer: String
    /// Seconds from the connection to its end.
    package var seconds = 0.0
    /// Processor time of this process in that span, in user mode, in seconds.
    package var userSeconds = 0.0
    /// Processor time of this process in that span, in the kernel, in seconds.
    package var systemSeconds = 0.0
    /// What was sent.
    package var counts = SendCounts()
    /// The comparison of what came back with a pattern, if one was asked for.
    package var validation: PatternComparison?
    /// Whether the peer had closed its direction by the end.
    package var peerClosed = false
    /// The signal that ended the session; nil if it came to its end.
    package var stoppedBy: Int32?
    /// What went wrong, in one line; nil if nothing did.
    package var failure: String?

    /// Payload bytes sent a second; zero if no time passed.
    package var bytesPerSecond: Double {
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

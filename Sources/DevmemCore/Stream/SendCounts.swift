/// Counts of sent payload and of the calls for it.
public struct SendCounts: Codable, Equatable, Sendable {
    /// Payload bytes that the kernel accepted.
    public var sentBytes: UInt64 = 0
    /// Payload bytes that the peer acknowledged.
    public var acknowledgedBytes: UInt64 = 0
    /// Payload bytes received.
    public var receivedBytes: UInt64 = 0
    /// read(2) calls for input.
    public var inputCalls: UInt64 = 0
    /// sendmsg(2) calls that accepted payload.
    public var sendCalls: UInt64 = 0
    /// Messages of the error queue, each of which completes a range of sends.
    public var completions: UInt64 = 0
    /// Sends that the kernel reported as copied.
    public var copiedSends: UInt64 = 0
    /// Sends that failed because too many awaited completion (ENOBUFS).
    public var bufferWaits: UInt64 = 0

    /// Creates counts of zero.
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

extension SendCounts: Counts {
    package static var fields: [WritableKeyPath<Self, UInt64>] {
        [
            \Self.sentBytes, \.acknowledgedBytes, \.receivedBytes, \.inputCalls, \.sendCalls,
            \.completions, \.copiedSends, \.bufferWaits,
        ]
    }
}

/// Payload sent, and the calls that it took.
public struct SendCounts: Codable, Equatable, Sendable {
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

extension SendCounts {
    package static func + (a: Self, b: Self) -> Self {
        a.combined(with: b) { $0.saturatingAdding($1) }
    }

    package static func - (a: Self, b: Self) -> Self { a.combined(with: b, &-) }

    private func combined(with other: Self, _ combine: (UInt64, UInt64) -> UInt64) -> Self {
        var result = Self()
        for field in [
            \Self.sentBytes, \.acknowledgedBytes, \.receivedBytes, \.inputCalls, \.sendCalls,
            \.completions, \.copiedSends, \.bufferWaits,
        ] {
            result[keyPath: field] = combine(self[keyPath: field], other[keyPath: field])
        }
        return result
    }
}

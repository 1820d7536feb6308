/// What a flow of a benchmark sent, and the calls that it took.
public struct BenchSendCounts: Codable, Equatable, Sendable {
    /// Payload bytes that the kernel took.
    public var bytes: UInt64 = 0
    /// Calls of sendmsg(2) that took payload.
    public var calls: UInt64 = 0
    /// Messages of the error queue, each of which completes a run of sends.
    public var completions: UInt64 = 0
    /// Sends that the kernel says it copied.
    public var copiedSends: UInt64 = 0
    /// Times that too many sends waited for completion (ENOBUFS).
    public var bufferWaits: UInt64 = 0

    /// No counts.
    public init() {}

    private enum CodingKeys: String, CodingKey {
        case bytes = "sent_bytes"
        case calls = "sendmsg_calls"
        case completions
        case copiedSends = "copied_sends"
        case bufferWaits = "buffer_waits"
    }

    static func + (a: BenchSendCounts, b: BenchSendCounts) -> BenchSendCounts {
        a.combined(with: b) { $0.saturatingAdding($1) }
    }

    static func - (a: BenchSendCounts, b: BenchSendCounts) -> BenchSendCounts {
        a.combined(with: b, &-)
    }

    private func combined(
        with other: BenchSendCounts, _ combine: (UInt64, UInt64) -> UInt64
    ) -> BenchSendCounts {
        var result = BenchSendCounts()
        result.bytes = combine(bytes, other.bytes)
        result.calls = combine(calls, other.calls)
        result.completions = combine(completions, other.completions)
        result.copiedSends = combine(copiedSends, other.copiedSends)
        result.bufferWaits = combine(bufferWaits, other.bufferWaits)
        return result
    }
}

extension ReceiveReport.Counts {
    static func + (a: Self, b: Self) -> Self { a.combined(with: b) { $0.saturatingAdding($1) } }

    static func - (a: Self, b: Self) -> Self { a.combined(with: b, &-) }

    private func combined(with other: Self, _ combine: (UInt64, UInt64) -> UInt64) -> Self {
        var result = Self()
        result.deviceBytes = combine(deviceBytes, other.deviceBytes)
        result.linearBytes = combine(linearBytes, other.linearBytes)
        result.ordinaryBytes = combine(ordinaryBytes, other.ordinaryBytes)
        result.fragments = combine(fragments, other.fragments)
        result.receiveCalls = combine(receiveCalls, other.receiveCalls)
        result.tokenCalls = combine(tokenCalls, other.tokenCalls)
        result.tokenRanges = combine(tokenRanges, other.tokenRanges)
        return result
    }
}

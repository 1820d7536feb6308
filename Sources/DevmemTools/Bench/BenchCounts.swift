import DevmemCore
/// What a flow of a benchmark sent, and the calls that it took.
package struct BenchSendCounts: Codable, Equatable, Sendable {
    /// Payload bytes that the kernel took.
    package var bytes: UInt64 = 0
    /// Calls of sendmsg(2) that took payload.
    package var calls: UInt64 = 0
    /// Messages of the error queue, each of which completes a run of sends.
    package var completions: UInt64 = 0
    /// Sends that the kernel says it copied.
    package var copiedSends: UInt64 = 0
    /// Times that too many sends waited for completion (ENOBUFS).
    package var bufferWaits: UInt64 = 0

    /// No counts.
    package init() {}

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

/// Payload received, and the calls that it took.
public struct ReceiveCounts: Codable, Equatable, Sendable {
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

extension ReceiveCounts {
    package static func + (a: Self, b: Self) -> Self {
        a.combined(with: b) { $0.saturatingAdding($1) }
    }

    package static func - (a: Self, b: Self) -> Self { a.combined(with: b, &-) }

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

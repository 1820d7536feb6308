/// Counts of received payload and of the calls for it.
public struct ReceiveCounts: Codable, Equatable, Sendable {
    /// Payload bytes received in device memory.
    public var deviceBytes: UInt64 = 0
    /// Payload bytes that the kernel copied from the linear part of a device memory packet.
    public var linearBytes: UInt64 = 0
    /// Payload bytes received as on an ordinary TCP socket.
    public var ordinaryBytes: UInt64 = 0
    /// Device memory fragments.
    public var fragments: UInt64 = 0
    /// recvmsg(2) calls that returned payload.
    public var receiveCalls: UInt64 = 0
    /// setsockopt(SO_DEVMEM_DONTNEED) calls.
    public var tokenCalls: UInt64 = 0
    /// Token ranges in these calls.
    public var tokenRanges: UInt64 = 0

    /// All payload bytes.
    public var bytes: UInt64 {
        deviceBytes.saturatingAdding(linearBytes).saturatingAdding(ordinaryBytes)
    }

    /// Creates counts of zero.
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

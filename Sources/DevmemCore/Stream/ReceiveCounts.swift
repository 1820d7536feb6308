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
    /// Throws if any payload arrived outside device memory.
    func rejectHostPayload(from peer: Endpoint) throws(DevmemError) {
        let others = linearBytes.saturatingAdding(ordinaryBytes)
        guard others > 0 else { return }
        throw DevmemError(
            .unsupported, call: "receive from \(peer)",
            message: "\(others) bytes arrived outside device memory, "
                + (linearBytes > 0 ? "in a packet's head" : "as on any socket")
                + ", after \(deviceBytes) bytes in it",
            advice: "header split or the flow rule did not work for this packet")
    }
}

extension ReceiveCounts: Counts {
    package static var fields: [WritableKeyPath<Self, UInt64>] {
        [
            \Self.deviceBytes, \.linearBytes, \.ordinaryBytes, \.fragments, \.receiveCalls,
            \.tokenCalls, \.tokenRanges,
        ]
    }
}

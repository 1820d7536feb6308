import DevmemCore
/// One direction of a benchmark.
package struct BenchDirectionReport: Codable, Equatable, Sendable {
    /// One flow's part.
    package struct Flow: Codable, Equatable, Sendable {
        /// The flow's number, counted from 1.
        package var flow: Int
        /// Payload bytes that arrived while it was measured.
        package var bytes: UInt64
        /// Payload bytes a second.
        package var bytesPerSecond: Double
        /// Segments that the sender sent again.
        package var retransmits: UInt64
        /// The sender's round trip time at the end, in microseconds.
        package var roundTrip: UInt64
        /// Bytes that differ from the pattern; nil if they were not compared.
        package var wrongBytes: UInt64?

        private enum CodingKeys: String, CodingKey {
            case flow, bytes, retransmits
            case bytesPerSecond = "bytes_per_second"
            case roundTrip = "rtt_us"
            case wrongBytes = "wrong_bytes"
        }
    }

    /// Which memory the payload was sent from, and which it came to.
    package var memory: BenchPlan.Direction
    /// Seconds measured.
    package var seconds: Double
    /// Payload bytes that arrived, of all flows.
    package var bytes: UInt64
    /// Payload bytes a second, of all flows.
    package var bytesPerSecond: Double
    /// Payload bytes that left the sender's memory while it measured; nil if it did not tell.
    package var sentBytes: UInt64?
    /// Segments that the sender sent again, of all flows.
    package var retransmits: UInt64
    /// Payload bytes that came to the receiver's device memory.
    package var deviceBytes: UInt64
    /// Payload bytes that came elsewhere at the receiver.
    package var elsewhereBytes: UInt64
    /// Fragments of device memory that a receive call brought on average; zero without any.
    package var fragmentsPerCall: Double
    /// Bytes that differ from the pattern, of all flows; nil if they were not compared.
    package var wrongBytes: UInt64?
    /// Flow by flow.
    package var flows: [Flow]

    private enum CodingKeys: String, CodingKey {
        case memory, seconds, bytes, retransmits, flows
        case bytesPerSecond = "bytes_per_second"
        case sentBytes = "sent_bytes"
        case deviceBytes = "device_bytes"
        case elsewhereBytes = "elsewhere_bytes"
        case fragmentsPerCall = "fragments_per_call"
        case wrongBytes = "wrong_bytes"
    }

    /// Joins what the sender and the receiver tell; what one of them does not tell is zero. Pure.
    init(_ memory: BenchPlan.Direction, sender: BenchEndReport?, receiver: BenchEndReport?) {
        self.memory = memory
        let seconds = receiver?.seconds ?? sender?.seconds ?? 0
        sentBytes = sender.map { $0.sent.sentBytes }
        let sent = Dictionary(
            (sender?.flows ?? []).map { ($0.flow, $0) }, uniquingKeysWith: { first, _ in first })
        let came = receiver?.flows ?? []
        flows = came.map { flow in
            let bytes = flow.received.bytes
            return Flow(
                flow: flow.flow, bytes: bytes,
                bytesPerSecond: Self.rate(bytes, seconds),
                retransmits: sent[flow.flow]?.retransmits ?? 0,
                roundTrip: sent[flow.flow]?.roundTrip ?? 0,
                wrongBytes: flow.validation?.wrongBytes)
        }
        let counts = receiver?.received ?? ReceiveCounts()
        self.seconds = seconds
        bytes = counts.bytes
        bytesPerSecond = Self.rate(counts.bytes, seconds)
        retransmits = flows.lazy.map(\.retransmits).saturatingSum
        deviceBytes = counts.deviceBytes
        elsewhereBytes = counts.linearBytes.saturatingAdding(counts.ordinaryBytes)
        fragmentsPerCall =
            counts.receiveCalls > 0
            ? Double(counts.fragments) / Double(counts.receiveCalls) : 0
        let wrong = flows.compactMap(\.wrongBytes)
        wrongBytes = wrong.isEmpty ? nil : wrong.saturatingSum
    }

    /// Bytes a second; zero for a time too short to tell.
    private static func rate(_ bytes: UInt64, _ seconds: Double) -> Double {
        seconds >= 1e-9 ? Double(bytes) / seconds : 0
    }
}

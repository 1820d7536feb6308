import DevmemCore
/// The results of one direction of a benchmark.
package struct BenchDirectionReport: Codable, Equatable, Sendable {
    /// The results of one flow.
    package struct Flow: Codable, Equatable, Sendable {
        /// The number of the flow, starting at 1.
        package var flow: Int
        /// Payload bytes received during the measurement.
        package var bytes: UInt64
        /// Payload bytes per second.
        package var bytesPerSecond: Double
        /// Segments that the sender retransmitted.
        package var retransmits: UInt64
        /// The sender's smoothed round-trip time at the end, in microseconds.
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

    /// The memory that payload was sent from and received into.
    package var memory: BenchPlan.Direction
    /// The duration of the measurement in seconds.
    package var seconds: Double
    /// Payload bytes received, over all flows.
    package var bytes: UInt64
    /// Payload bytes per second, over all flows.
    package var bytesPerSecond: Double
    /// Payload bytes sent during the sender's measurement; nil if the sender did not report them.
    package var sentBytes: UInt64?
    /// Segments that the sender retransmitted, over all flows.
    package var retransmits: UInt64
    /// Payload bytes received into device memory.
    package var deviceBytes: UInt64
    /// Payload bytes received into host memory.
    package var elsewhereBytes: UInt64
    /// The average number of device memory fragments per receive call; zero if there were none.
    package var fragmentsPerCall: Double
    /// Bytes that differ from the pattern, over all flows; nil if they were not compared.
    package var wrongBytes: UInt64?
    /// The results per flow.
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

    /// Joins the reports of the sender and the receiver; missing values are zero. Pure.
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

    /// Computes a rate in bytes per second; zero if the time is too short.
    private static func rate(_ bytes: UInt64, _ seconds: Double) -> Double {
        seconds >= 1e-9 ? Double(bytes) / seconds : 0
    }
}

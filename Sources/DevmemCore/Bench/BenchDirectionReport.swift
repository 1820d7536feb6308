/// One direction of a benchmark.
public struct BenchDirectionReport: Codable, Equatable, Sendable {
    /// One flow's part.
    public struct Flow: Codable, Equatable, Sendable {
        /// The flow's number, counted from 1.
        public var flow: Int
        /// Payload bytes that arrived while it was measured.
        public var bytes: UInt64
        /// Payload bytes a second.
        public var bytesPerSecond: Double
        /// Segments that the sender sent again.
        public var retransmits: UInt64
        /// The sender's round trip time at the end, in microseconds.
        public var roundTrip: UInt64
        /// Bytes that differ from the pattern; nil if they were not compared.
        public var wrongBytes: UInt64?

        private enum CodingKeys: String, CodingKey {
            case flow, bytes, retransmits
            case bytesPerSecond = "bytes_per_second"
            case roundTrip = "rtt_us"
            case wrongBytes = "wrong_bytes"
        }
    }

    /// Where the payload was, and where it came to.
    public var memory: BenchPlan.Direction
    /// Seconds measured.
    public var seconds: Double
    /// Payload bytes that arrived, of all flows.
    public var bytes: UInt64
    /// Payload bytes a second, of all flows.
    public var bytesPerSecond: Double
    /// Segments that the sender sent again, of all flows.
    public var retransmits: UInt64
    /// Payload bytes that came to device memory.
    public var deviceBytes: UInt64
    /// Payload bytes that came elsewhere.
    public var elsewhereBytes: UInt64
    /// Fragments of device memory that a receive call brought on average; zero without any.
    public var fragmentsPerCall: Double
    /// Bytes that differ from the pattern, of all flows; nil if they were not compared.
    public var wrongBytes: UInt64?
    /// Flow by flow.
    public var flows: [Flow]

    private enum CodingKeys: String, CodingKey {
        case memory, seconds, bytes, retransmits, flows
        case bytesPerSecond = "bytes_per_second"
        case deviceBytes = "device_bytes"
        case elsewhereBytes = "elsewhere_bytes"
        case fragmentsPerCall = "fragments_per_call"
        case wrongBytes = "wrong_bytes"
    }

    /// Joins what the sender and the receiver tell; what one of them does not tell is zero. Pure.
    init(_ memory: BenchPlan.Direction, sender: BenchEndReport?, receiver: BenchEndReport?) {
        self.memory = memory
        let seconds = receiver?.seconds ?? sender?.seconds ?? 0
        let sent = Dictionary(
            (sender?.flows ?? []).map { ($0.flow, $0) }, uniquingKeysWith: { first, _ in first })
        let came = receiver?.flows ?? []
        flows = came.map { flow in
            let bytes = flow.received.bytes
            return Flow(
                flow: flow.flow, bytes: bytes,
                bytesPerSecond: seconds > 0 ? Double(bytes) / seconds : 0,
                retransmits: sent[flow.flow]?.retransmits ?? 0,
                roundTrip: sent[flow.flow]?.roundTrip ?? 0,
                wrongBytes: flow.validation?.wrongBytes)
        }
        let counts = receiver?.received ?? ReceiveReport.Counts()
        self.seconds = seconds
        bytes = counts.bytes
        bytesPerSecond = seconds > 0 ? Double(counts.bytes) / seconds : 0
        retransmits = flows.reduce(0) { $0 + $1.retransmits }
        deviceBytes = counts.deviceBytes
        elsewhereBytes = counts.linearBytes + counts.ordinaryBytes
        fragmentsPerCall =
            counts.receiveCalls > 0
            ? Double(counts.fragments) / Double(counts.receiveCalls) : 0
        let wrong = flows.compactMap(\.wrongBytes)
        wrongBytes = wrong.isEmpty ? nil : wrong.reduce(0, +)
    }
}

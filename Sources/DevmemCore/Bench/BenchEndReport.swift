/// What one end of a benchmark's flow did while it was measured.
public struct BenchFlowReport: Codable, Equatable, Sendable {
    /// The flow's number, counted from 1.
    public var flow: Int
    /// What came.
    public var received = ReceiveReport.Counts()
    /// What was sent.
    public var sent = BenchSendCounts()
    /// Segments that this end sent again.
    public var retransmits: UInt64 = 0
    /// The smoothed time of a round trip at the end of measuring, in microseconds.
    public var roundTrip: UInt64 = 0
    /// The variation of that time, in microseconds.
    public var roundTripVariation: UInt64 = 0
    /// The comparison with the pattern, of all payload, that of the warm-up included; nil if none
    /// was asked for.
    public var validation: ReceiveReport.Validation?
    /// What went wrong; nil if nothing did.
    public var failure: String?

    private enum CodingKeys: String, CodingKey {
        case flow, received, sent, retransmits, validation, failure
        case roundTrip = "rtt_us"
        case roundTripVariation = "rtt_variation_us"
    }

    /// Makes a report of nothing.
    public init(flow: Int) {
        self.flow = flow
    }

    init(_ flow: BenchFlow) {
        self.init(flow: flow.number + 1)
        let end = flow.end ?? flow.mark
        received = end.received - flow.begin.received
        sent = end.sent - flow.begin.sent
        if let info = end.info {
            retransmits = info.retransmits &- (flow.begin.info?.retransmits ?? 0)
            roundTrip = info.roundTrip
            roundTripVariation = info.roundTripVariation
        }
        validation = flow.validation
        failure = flow.failure?.description
    }
}

/// What one end of a benchmark did while it was measured.
public struct BenchEndReport: Codable, Equatable, Sendable {
    /// A queue's counters, by the kernel's names, as far as they moved.
    public struct Queue: Codable, Equatable, Sendable {
        /// `rx` or `tx`.
        public var type: String
        /// The queue's index.
        public var id: UInt32
        /// What was counted.
        public var counters: [String: UInt64]
    }

    /// A page pool that feeds from the dma-buf.
    public struct Pool: Codable, Equatable, Sendable {
        /// The kernel's number of it.
        public var id: UInt64
        /// Pieces of memory that were out at the end.
        public var inFlight: UInt64?
        /// The same in bytes.
        public var inFlightBytes: UInt64?

        private enum CodingKeys: String, CodingKey {
            case id
            case inFlight = "in_flight"
            case inFlightBytes = "in_flight_bytes"
        }
    }

    /// The NIC; nil where none was looked for.
    public var interface: String?
    /// Its driver, if known.
    public var driver: String?
    /// Receive queues bound to the dma-buf; none if none were.
    public var boundQueues: [UInt32] = []
    /// Seconds measured.
    public var seconds = 0.0
    /// Processor time of the threads that carry flows, in user mode, in seconds.
    public var userSeconds = 0.0
    /// Processor time of these threads in the kernel, in seconds.
    public var systemSeconds = 0.0
    /// Processor time of the whole host in softirqs, in seconds, whoever caused it.
    public var softirqSeconds = 0.0
    /// Queues that moved anything.
    public var queues: [Queue] = []
    /// Page pools.
    public var pools: [Pool] = []
    /// Its flows.
    public var flows: [BenchFlowReport] = []
    /// How much of what came is in device memory; nil if none was to be.
    public var placement: PayloadPlacement?
    /// What went wrong beside the flows; nil if nothing did.
    public var failure: String?

    private enum CodingKeys: String, CodingKey {
        case placement
        case interface, driver, seconds, queues, flows, failure
        case boundQueues = "bound_queues"
        case userSeconds = "cpu_user_seconds"
        case systemSeconds = "cpu_system_seconds"
        case softirqSeconds = "host_softirq_seconds"
        case pools = "page_pools"
    }

    /// Makes a report of nothing.
    public init() {}

    /// What all flows received.
    public var received: ReceiveReport.Counts {
        flows.reduce(ReceiveReport.Counts()) { $0 + $1.received }
    }

    /// What all flows sent.
    public var sent: BenchSendCounts { flows.reduce(BenchSendCounts()) { $0 + $1.sent } }
}

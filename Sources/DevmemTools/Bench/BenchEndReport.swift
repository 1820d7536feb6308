package import DevmemCore
/// What one end of a benchmark's flow did while it was measured.
package struct BenchFlowReport: Codable, Equatable, Sendable {
    /// The flow's number, counted from 1.
    package var flow: Int
    /// What came.
    package var received = ReceiveCounts()
    /// What was sent.
    package var sent = SendCounts()
    /// Segments that this end sent again.
    package var retransmits: UInt64 = 0
    /// The smoothed time of a round trip at the end of measuring, in microseconds.
    package var roundTrip: UInt64 = 0
    /// The variation of that time, in microseconds.
    package var roundTripVariation: UInt64 = 0
    /// The comparison with the pattern, of all payload, that of the warm-up included; nil if none
    /// was asked for.
    package var validation: PatternComparison?
    /// What went wrong; nil if nothing did.
    package var failure: String?

    private enum CodingKeys: String, CodingKey {
        case flow, received, sent, retransmits, validation, failure
        case roundTrip = "rtt_us"
        case roundTripVariation = "rtt_variation_us"
    }

    /// Makes a report of nothing.
    package init(flow: Int) {
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
package struct BenchEndReport: Codable, Equatable, Sendable {
    /// A queue's counters, by the kernel's names, as far as they moved.
    package struct Queue: Codable, Equatable, Sendable {
        /// `rx` or `tx`.
        package var type: String
        /// The queue's index.
        package var id: UInt32
        /// What was counted.
        package var counters: [String: UInt64]
    }

    /// A page pool that feeds from the dma-buf.
    package struct Pool: Codable, Equatable, Sendable {
        /// The kernel's number of it.
        package var id: UInt64
        /// Pieces of memory that were out at the end.
        package var inFlight: UInt64?
        /// The same in bytes.
        package var inFlightBytes: UInt64?

        private enum CodingKeys: String, CodingKey {
            case id
            case inFlight = "in_flight"
            case inFlightBytes = "in_flight_bytes"
        }
    }

    /// The NIC; nil where none was looked for.
    package var interface: String?
    /// Its driver, if known.
    package var driver: String?
    /// Receive queues bound to the dma-buf; none if none were.
    package var boundQueues: [UInt32] = []
    /// Seconds measured.
    package var seconds = 0.0
    /// Processor time of the threads that carry flows, in user mode, in seconds.
    package var userSeconds = 0.0
    /// Processor time of these threads in the kernel, in seconds.
    package var systemSeconds = 0.0
    /// Processor time of the whole host in softirqs, in seconds, whoever caused it.
    package var softirqSeconds = 0.0
    /// Queues that moved anything.
    package var queues: [Queue] = []
    /// Page pools.
    package var pools: [Pool] = []
    /// Its flows.
    package var flows: [BenchFlowReport] = []
    /// How much of what came is in device memory; nil if none was to be.
    package var placement: PayloadPlacement?
    /// What went wrong beside the flows; nil if nothing did.
    package var failure: String?

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
    package init() {}

    /// What all flows received.
    package var received: ReceiveCounts {
        flows.reduce(ReceiveCounts()) { $0 + $1.received }
    }

    /// What all flows sent.
    package var sent: SendCounts { flows.reduce(SendCounts()) { $0 + $1.sent } }
}

package import DevmemCore
/// The counters of a flow on one side, over the measurement.
package struct BenchFlowReport: Codable, Equatable, Sendable {
    /// The number of the flow, starting at 1.
    package var flow: Int
    /// The payload received.
    package var received = ReceiveCounts()
    /// The payload sent.
    package var sent = SendCounts()
    /// Segments that this side retransmitted.
    package var retransmits: UInt64 = 0
    /// The smoothed round-trip time at the end of the measurement, in microseconds.
    package var roundTrip: UInt64 = 0
    /// The variation of the round-trip time, in microseconds.
    package var roundTripVariation: UInt64 = 0
    /// The comparison of all payload with the pattern, including the warm-up; nil if none was
    /// requested.
    package var validation: PatternComparison?
    /// Why the flow failed; nil if it did not.
    package var failure: String?

    private enum CodingKeys: String, CodingKey {
        case flow, received, sent, retransmits, validation, failure
        case roundTrip = "rtt_us"
        case roundTripVariation = "rtt_variation_us"
    }

    /// Creates an empty report.
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

/// The report of one side of a benchmark.
package struct BenchEndReport: Codable, Equatable, Sendable {
    /// The counters of a queue, by the kernel's names; only those that increased.
    package struct Queue: Codable, Equatable, Sendable {
        /// `rx` or `tx`.
        package var type: String
        /// The index of the queue.
        package var id: UInt32
        /// The increases.
        package var counters: [String: UInt64]
    }

    /// A page pool on the dma-buf.
    package struct Pool: Codable, Equatable, Sendable {
        /// The kernel's id of the pool.
        package var id: UInt64
        /// Pages in flight at the end.
        package var inFlight: UInt64?
        /// Bytes in flight at the end.
        package var inFlightBytes: UInt64?

        private enum CodingKeys: String, CodingKey {
            case id
            case inFlight = "in_flight"
            case inFlightBytes = "in_flight_bytes"
        }
    }

    /// The NIC; nil if none was determined.
    package var interface: String?
    /// The host's name.
    package var host: String?
    /// The release of its kernel.
    package var kernel: String?
    /// Its driver, if known.
    package var driver: String?
    /// The receive queues bound to the dma-buf.
    package var boundQueues: [UInt32] = []
    /// The way in which payload was received into device memory; nil if none was.
    package var engine: ReceiveEngine?
    /// Why that engine was chosen; nil if the plan names it.
    package var engineReason: String?
    /// The duration of the measurement in seconds.
    package var seconds = 0.0
    /// User time of the threads that carry flows, in seconds.
    package var userSeconds = 0.0
    /// System time of these threads, in seconds.
    package var systemSeconds = 0.0
    /// Softirq time of the whole host in seconds, whatever caused it.
    package var softirqSeconds = 0.0
    /// The CPUs that the threads ran on, as a list; nil if unknown.
    package var processors: String?
    /// Why those; nil if a user chose them.
    package var processorsReason: String?
    /// Whether a thread of the kernel polls the queue of the first flow, and not softirqs; nil if
    /// unknown.
    package var isNAPIThreaded: Bool?
    /// The queues whose counters increased.
    package var queues: [Queue] = []
    /// The page pools on the dma-buf.
    package var pools: [Pool] = []
    /// The flows.
    package var flows: [BenchFlowReport] = []
    /// The share of payload that arrived in device memory; nil if host memory was requested.
    package var placement: PayloadPlacement?
    /// Why this side failed apart from its flows; nil if it did not.
    package var failure: String?

    private enum CodingKeys: String, CodingKey {
        case placement, engine
        case interface, host, kernel, driver, seconds, queues, flows, failure
        case engineReason = "engine_reason"
        case boundQueues = "bound_queues"
        case processors = "cpus"
        case processorsReason = "cpus_reason"
        case isNAPIThreaded = "napi_threaded"
        case userSeconds = "cpu_user_seconds"
        case systemSeconds = "cpu_system_seconds"
        case softirqSeconds = "host_softirq_seconds"
        case pools = "page_pools"
    }

    /// Creates an empty report.
    package init() {}

    /// The payload received over all flows.
    package var received: ReceiveCounts {
        flows.reduce(ReceiveCounts()) { $0 + $1.received }
    }

    /// The payload sent over all flows.
    package var sent: SendCounts { flows.reduce(SendCounts()) { $0 + $1.sent } }
}

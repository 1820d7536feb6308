import DevmemCore
/// The peer's report, assembled from its messages within the limits of the plan. Pure.
struct PeerReportAssembler {
    /// How many more intervals than elapsed seconds are accepted, because clocks and threads are
    /// not synchronized.
    private static let surplus = 60
    /// The maximum number of queues of a NIC, receive and transmit.
    private static let maximumQueues = 1 << 14

    private let flows: Int
    private var parts = BenchEndReport()
    /// The report, once it is complete.
    private(set) var report: BenchEndReport?
    /// The samples, one per second.
    private(set) var samples: [BenchSample] = []

    /// - Parameter flows: the number of flows of the plan.
    init(flows: Int) {
        self.flows = flows
    }

    /// Adds a part of the report.
    ///
    /// - Parameters:
    ///   - message: the message.
    ///   - elapsed: the time since payload began to flow.
    /// - Returns: whether the message is part of a report.
    /// - Throws: `DevmemError` of kind `malformed` if it contradicts the plan or earlier messages.
    mutating func take(
        _ message: BenchMessage, after elapsed: Duration
    ) throws(DevmemError) -> Bool {
        switch message {
        case .interval(let sample):
            guard sample.received.count == flows else { throw Self.wrong("flows of an interval") }
            guard samples.count <= Int(elapsed.components.seconds) + Self.surplus else {
                throw Self.wrong("intervals")
            }
            samples.append(sample)
        case .flow(let flow):
            guard flow.flow <= flows, !parts.flows.contains(where: { $0.flow == flow.flow }) else {
                throw Self.wrong("flows")
            }
            parts.flows.append(flow)
        case .queue(let queue):
            guard parts.queues.count < Self.maximumQueues else { throw Self.wrong("queues") }
            parts.queues.append(queue)
        case .pool(let pool):
            guard parts.pools.count < Self.maximumQueues else { throw Self.wrong("page pools") }
            parts.pools.append(pool)
        case .end(var whole):
            guard report == nil else { throw Self.wrong("reports") }
            (whole.flows, whole.queues, whole.pools) = (parts.flows, parts.queues, parts.pools)
            report = whole
        default: return false
        }
        return true
    }

    private static func wrong(_ what: String) -> DevmemError {
        DevmemError(
            .malformed, call: "read from the peer",
            message: "it reports \(what) that are not in the plan")
    }
}

extension BenchEndReport {
    /// The report split into messages, so that none grows with the number of flows or queues.
    var messages: [BenchMessage] {
        var rest = self
        (rest.flows, rest.queues, rest.pools) = ([], [], [])
        return flows.map(BenchMessage.flow) + queues.map(BenchMessage.queue)
            + pools.map(BenchMessage.pool) + [.end(rest)]
    }
}

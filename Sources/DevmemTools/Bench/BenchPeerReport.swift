import DevmemCore
/// What the other end tells while payload flows and afterwards, put together and kept within the bounds
/// that the plan sets. Pure.
struct BenchPeerReport {
    /// More intervals than seconds have passed, as clocks and threads are not in step.
    private static let surplus = 60
    /// Receive and transmit queues of the largest NICs.
    private static let mostQueues = 1 << 14

    private let flows: Int
    private var parts = BenchEndReport()
    /// What it did, once all of it is told.
    private(set) var report: BenchEndReport?
    /// What it saw, second by second.
    private(set) var samples: [BenchSample] = []

    /// - Parameter flows: how many the plan has.
    init(flows: Int) {
        self.flows = flows
    }

    /// Takes a part.
    ///
    /// - Parameters:
    ///   - message: what came.
    ///   - elapsed: how long payload has flowed.
    /// - Returns: whether the message is one of these parts.
    /// - Throws: `DevmemError` of kind `malformed` if it does not fit the plan or what came before.
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
            guard parts.queues.count < Self.mostQueues else { throw Self.wrong("queues") }
            parts.queues.append(queue)
        case .pool(let pool):
            guard parts.pools.count < Self.mostQueues else { throw Self.wrong("page pools") }
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
            .malformed, call: "listen to the other end",
            message: "it reports \(what) that are not in the plan")
    }
}

extension BenchEndReport {
    /// The report as messages, none of which grows with the number of flows or queues.
    var messages: [BenchMessage] {
        var rest = self
        (rest.flows, rest.queues, rest.pools) = ([], [], [])
        return flows.map(BenchMessage.flow) + queues.map(BenchMessage.queue)
            + pools.map(BenchMessage.pool) + [.end(rest)]
    }
}

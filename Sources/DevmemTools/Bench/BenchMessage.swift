import DevmemCore
/// What the two ends of a benchmark tell each other, a line of JSON each.
enum BenchMessage: RemoteMessage, Equatable {
    /// The first line of either end: the version of what follows.
    case hello(version: Int)
    /// What to do, and the address and ports that the near end listens at.
    case plan(BenchPlan, address: String, ports: [UInt16])
    /// The far end's NIC and memory are set up.
    case ready
    /// The far end may connect.
    case connect
    /// It has, and its connections come from these addresses and ports, flow by flow. As no two
    /// connections to one of the near end's ports come from the same, they tell its own from a
    /// stranger's; those to different ports may.
    case connected(from: [BenchPlan.Source])
    /// Payload may flow.
    case start
    /// What an end saw in a second.
    case interval(BenchSample)
    /// Nothing new is to be sent.
    case stop(signal: Int32)
    /// What a flow did.
    case flow(BenchFlowReport)
    /// What a queue of the end's NIC counted.
    case queue(BenchEndReport.Queue)
    /// A page pool that the end's dma-buf feeds.
    case pool(BenchEndReport.Pool)
    /// What the end did; its flows, queues and page pools have been told before.
    case end(BenchEndReport)
    /// The far end cannot go on.
    case failure(String)

    /// The version that this program speaks.
    static let version = 3

    var helloVersion: Int? { if case .hello(let version) = self { version } else { nil } }

    var failureText: String? { if case .failure(let text) = self { text } else { nil } }
}

/// The channel between the two ends of a benchmark.
typealias BenchChannel = RemoteChannel<BenchMessage>

/// What an end saw between two looks at its flows.
package struct BenchSample: Codable, Equatable, Sendable {
    /// Seconds from the start of measuring to the end of the interval.
    package var time: Double
    /// The interval's length in seconds.
    package var seconds: Double
    /// Payload bytes received, flow by flow.
    package var received: [UInt64]
    /// Payload bytes sent, flow by flow.
    package var sent: [UInt64]
    /// Processor time of the process in user mode, in seconds.
    package var user: Double
    /// Processor time of the process in the kernel, in seconds.
    package var system: Double
    /// Processor time of the whole host in softirqs, in seconds.
    package var softirq: Double

    /// Makes a sample from its values.
    package init(
        time: Double, seconds: Double, received: [UInt64], sent: [UInt64], user: Double,
        system: Double, softirq: Double
    ) {
        self.time = time
        self.seconds = seconds
        self.received = received
        self.sent = sent
        self.user = user
        self.system = system
        self.softirq = softirq
    }
}

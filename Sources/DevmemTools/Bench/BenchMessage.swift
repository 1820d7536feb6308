import DevmemCore
/// A message between the two sides of a benchmark: `bench run` is the local side, its peer the
/// remote side.
enum BenchMessage: RemoteMessage, Equatable {
    /// The first message in either direction, with the protocol version.
    case hello(version: Int)
    /// The plan, with the address and ports that the local side listens on.
    case plan(BenchPlan, address: String, ports: [UInt16])
    /// The remote side has set up its NIC and memory.
    case ready
    /// The remote side may connect.
    case connect
    /// The remote side has connected. The source addresses, one per flow, tell its connections from
    /// those of other hosts. Two connections to one port always differ in their source; connections
    /// to different ports may share one.
    case connected(from: [BenchPlan.Source])
    /// Payload may flow.
    case start
    /// The sample of one second.
    case interval(BenchSample)
    /// Stop sending.
    case stop(signal: Int32)
    /// The report of a flow.
    case flow(BenchFlowReport)
    /// The counters of a queue of the NIC.
    case queue(BenchEndReport.Queue)
    /// A page pool on the dma-buf.
    case pool(BenchEndReport.Pool)
    /// The rest of the report; flows, queues and page pools precede it.
    case end(BenchEndReport)
    /// The remote side cannot continue.
    case failure(String)

    /// The protocol version of this program.
    static let version = 3

    var helloVersion: Int? { if case .hello(let version) = self { version } else { nil } }

    var failureText: String? { if case .failure(let text) = self { text } else { nil } }
}

/// The channel between the two sides of a benchmark.
typealias BenchChannel = RemoteChannel<BenchMessage>

/// The sample of an interval on one side.
package struct BenchSample: Codable, Equatable, Sendable {
    /// Seconds from the start of the measurement to the end of the interval.
    package var time: Double
    /// The length of the interval in seconds.
    package var seconds: Double
    /// Payload bytes received, per flow.
    package var received: [UInt64]
    /// Payload bytes sent, per flow.
    package var sent: [UInt64]
    /// User time of the process, in seconds.
    package var user: Double
    /// System time of the process, in seconds.
    package var system: Double
    /// Softirq time of the whole host, in seconds.
    package var softirq: Double

    /// Creates a sample from its values.
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

package import DevmemCore
/// The memory that holds payload on one side in one direction.
package enum BenchMemory: String, Codable, Sendable, CaseIterable {
    /// A dma-buf bound to the NIC.
    case device
    /// Host memory, with plain TCP.
    case host
}

/// The plan of a benchmark. The local side, which runs `bench run`, sends it to the remote side.
package struct BenchPlan: Codable, Equatable, Sendable {
    /// One direction of payload.
    package struct Direction: Codable, Equatable, Sendable {
        /// The sender's memory.
        package var sender: BenchMemory
        /// The receiver's memory.
        package var receiver: BenchMemory

        /// Creates a direction from its values.
        package init(sender: BenchMemory, receiver: BenchMemory) {
            self.sender = sender
            self.receiver = receiver
        }
    }

    /// The source address of the remote side's flows.
    package struct Source: Codable, Equatable, Sendable {
        /// The remote side's address.
        package var address: String
        /// The port of a flow; in a plan, of the first flow, and later flows use consecutive ports.
        package var port: UInt16

        /// Creates a source from its values.
        package init(address: String, port: UInt16) {
            self.address = address
            self.port = port
        }

        init(_ endpoint: Endpoint) {
            self.init(address: endpoint.address.unmapped.description, port: endpoint.port)
        }

        /// Returns the source endpoint of a flow; nil if the plan is invalid.
        func endpoint(of flow: Int) -> Endpoint? {
            guard let address = IPAddress(text: address), let step = UInt16(exactly: flow) else {
                return nil
            }
            let (port, overflow) = port.addingReportingOverflow(step)
            return overflow ? nil : Endpoint(address: address, port: port)
        }
    }

    /// Payload to the local side, if any.
    package var inbound: Direction?
    /// Payload to the remote side, if any.
    package var outbound: Direction?
    /// The duration of the measurement in seconds; nil to send `bytes`.
    package var seconds: Double?
    /// Payload bytes per direction over all flows; nil to measure for a time.
    package var bytes: UInt64?
    /// The duration of the warm-up in seconds.
    package var warmUp = 0.0
    /// The number of TCP connections.
    package var flows = 1
    /// The number of threads per side, which share the flows.
    package var threads = 1
    /// The maximum number of bytes per send call.
    package var message = 256 << 10
    /// The maximum segment size in bytes; nil for the route's.
    package var segment: Int?
    /// The congestion control algorithm; nil for the system's default.
    package var congestion: String?
    /// The maximum send rate per flow in bytes per second; nil for no limit.
    package var pace: UInt64?
    /// Whether receivers compare payload with the pattern.
    package var validates = false
    /// The size of a request and of its response in bytes; nil for streams.
    package var requestSize: Int?
    /// The size in bytes of the dma-buf to receive into.
    package var memory: UInt64 = 64 << 20
    /// The size of the NICs' receive buffers in bytes; nil for a page.
    package var pageSize: UInt32?
    /// How to receive into device memory; nil for the socket.
    package var engine: ReceiveEngineChoice?
    /// How long an idle thread polls the NIC before it sleeps, in microseconds; nil for no busy
    /// polling.
    package var busyPoll: UInt32?
    /// The source of the remote side's flows, for NICs whose flow rules must match both addresses
    /// and both ports; nil lets the kernel choose the ports.
    package var source: Source?
    /// The remote side's CPUs to pin threads to, in turn; none for those near its NIC.
    package var remoteProcessors: [Int] = []

    /// Creates a plan without payload.
    package init() {}

    private enum CodingKeys: String, CodingKey {
        case inbound, outbound, seconds, bytes, flows, threads, congestion, engine
        case warmUp = "warm_up_seconds"
        case message = "message_bytes"
        case segment = "mss"
        case pace = "pace_bytes_per_second"
        case validates = "validate"
        case requestSize = "request_bytes"
        case memory = "memory_bytes"
        case pageSize = "rx_page_bytes"
        case busyPoll = "busy_poll_us"
        case remoteProcessors = "far_cpus"
        case source = "from"
    }

    /// The limit on unread payload per flow in bytes, so that all flows together leave half of the
    /// dma-buf to the NIC; nil for a single flow. It also applies to host memory, so that results
    /// are comparable.
    var receiveShare: UInt64? { flows > 1 ? memory / UInt64(2 * flows) : nil }

    /// The CPUs that the remote side's threads run on, if its user does not choose them.
    var remoteChoice: ProcessorChoice { remoteProcessors.isEmpty ? .near : .list(remoteProcessors) }

    /// The maximum numbers of flows and threads.
    package static let limits = (flows: 1024, threads: 256)

    /// Checks the plan, which may come from the network, for contradictions and excessive values.
    ///
    /// - Throws: `DevmemError` of kind `invalid` that says what is wrong.
    package func check() throws(DevmemError) {
        let tests: [(Bool, String)] = [
            (inbound != nil || outbound != nil, "no direction has payload"),
            ((seconds == nil) != (bytes == nil), "needs either a time or a number of bytes"),
            (seconds.map { (0.1...86400).contains($0) } ?? true, "time must be 0.1 s to a day"),
            (bytes.map { $0 > 0 && $0 < 1 << 50 } ?? true, "size must be 1 byte to 1P"),
            ((0...3600).contains(warmUp), "the warm-up must be at most an hour"),
            (warmUp == 0 || bytes == nil, "a warm-up requires a time"),
            ((1...Self.limits.flows).contains(flows), "flows must be 1 to \(Self.limits.flows)"),
            (
                (1...Self.limits.threads).contains(threads),
                "threads must be 1 to \(Self.limits.threads)"
            ),
            ((1...64 << 20).contains(message), "messages must be 1 to 64M"),
            (segment.map { (88...65495).contains($0) } ?? true, "the MSS must be 88 to 65495"),
            (congestion.map(Self.isName) ?? true, "no such congestion control"),
            (pace.map { $0 > 0 } ?? true, "the pace must be above zero"),
            (requestSize.map { (1...64 << 20).contains($0) } ?? true, "requests must be 1 to 64M"),
            (requestSize == nil || bytes == nil, "requests and responses require a time"),
            (
                requestSize == nil || inbound != nil && outbound != nil,
                "requests and responses need both directions"
            ),
            ((1 << 16...1 << 40).contains(memory), "memory must be 64K to 1T"),
            (
                busyPoll.map { (1...1_000_000).contains($0) } ?? true,
                "busy polling must be 1 us to 1 s"
            ),
            (
                source.map { $0.port > 0 && $0.endpoint(of: flows &- 1) != nil } ?? true,
                "the source needs an address, and its ports must not exceed 65535"
            ),
            (remoteProcessors.allSatisfy { (0..<Affinity.limit).contains($0) }, "no such CPU"),
        ]
        guard let wrong = tests.first(where: { !$0.0 }) else { return }
        throw DevmemError(.invalid, call: "plan a benchmark", message: wrong.1)
    }

    /// Tells whether a text is a valid name of an algorithm (TCP_CA_NAME_MAX of include/net/tcp.h).
    private static func isName(_ text: String) -> Bool {
        (1..<16).contains(text.utf8.count)
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }
}

/// The role of one side in a plan.
struct BenchRole: Equatable, Sendable {
    /// The memory to receive into, if payload is received.
    var receives: BenchMemory?
    /// The memory to send from, if payload is sent.
    var sends: BenchMemory?
    /// Whether this side sends the requests.
    var asks: Bool

    /// Returns the role of the local side.
    static func local(of plan: BenchPlan) -> BenchRole {
        BenchRole(
            receives: plan.inbound?.receiver, sends: plan.outbound?.sender, asks: true)
    }

    /// Returns the role of the remote side.
    static func remote(of plan: BenchPlan) -> BenchRole {
        BenchRole(
            receives: plan.outbound?.receiver, sends: plan.inbound?.sender, asks: false)
    }
}

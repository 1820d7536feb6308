package import DevmemCore
/// Which memory the payload of one end and direction lies in.
package enum BenchMemory: String, Codable, Sendable, CaseIterable {
    /// A dma-buf bound to the NIC.
    case device
    /// Memory as any program has it: plain TCP.
    case host
}

/// What both ends of a benchmark do together. The near end sends it to the far end.
package struct BenchPlan: Codable, Equatable, Sendable {
    /// One direction of the payload.
    package struct Direction: Codable, Equatable, Sendable {
        /// Where the sender has it.
        package var sender: BenchMemory
        /// Where the receiver gets it.
        package var receiver: BenchMemory

        /// Makes a direction from both its ends.
        package init(sender: BenchMemory, receiver: BenchMemory) {
            self.sender = sender
            self.receiver = receiver
        }
    }

    /// Where flows of the far end come from.
    package struct Source: Codable, Equatable, Sendable {
        /// The far end's address.
        package var address: String
        /// A flow's port; in a plan that of the first flow, and each further one has the next.
        package var port: UInt16

        /// Makes it from its parts.
        package init(address: String, port: UInt16) {
            self.address = address
            self.port = port
        }

        init(_ endpoint: Endpoint) {
            self.init(address: endpoint.address.unmapped.description, port: endpoint.port)
        }

        /// Where a flow comes from; nil if the plan that it is of was not checked.
        func endpoint(of flow: Int) -> Endpoint? {
            guard let address = IPAddress(text: address), let step = UInt16(exactly: flow) else {
                return nil
            }
            let (port, overflow) = port.addingReportingOverflow(step)
            return overflow ? nil : Endpoint(address: address, port: port)
        }
    }

    /// Payload to the near end, if any goes there.
    package var inbound: Direction?
    /// Payload to the far end, if any goes there.
    package var outbound: Direction?
    /// Seconds to measure for; nil to send `bytes`.
    package var seconds: Double?
    /// Payload bytes of each direction, of all flows together; nil to measure for a time.
    package var bytes: UInt64?
    /// Seconds before measuring begins.
    package var warmUp = 0.0
    /// TCP connections.
    package var flows = 1
    /// Threads of each end that these are spread over.
    package var threads = 1
    /// Bytes that one send call takes at most.
    package var message = 256 << 10
    /// The largest segment, in bytes; nil for what the route allows.
    package var segment: Int?
    /// The congestion control algorithm; nil for the system's.
    package var congestion: String?
    /// Bytes a second that each flow sends at most; nil for no bound.
    package var pace: UInt64?
    /// Whether receivers compare payload with the pattern that senders send.
    package var validates = false
    /// Bytes of a request and of its response; nil for streams.
    package var requestSize: Int?
    /// Bytes of the dma-buf that an end receives into.
    package var memory: UInt64 = 64 << 20
    /// Bytes of the pieces that NICs fill; nil for a page.
    package var pageSize: UInt32?
    /// Microseconds that a thread with nothing to do polls the NIC for; nil to sleep at once.
    package var busyPoll: UInt32?
    /// Where the far end's flows come from, for NICs whose flow rules must name a connection whole; nil
    /// for ports of the kernel's choice.
    package var source: Source?
    /// The far end's processors to pin threads to, one after another; none to pin nothing.
    package var farProcessors: [Int] = []

    /// A plan without payload.
    package init() {}

    private enum CodingKeys: String, CodingKey {
        case inbound, outbound, seconds, bytes, flows, threads, congestion
        case warmUp = "warm_up_seconds"
        case message = "message_bytes"
        case segment = "mss"
        case pace = "pace_bytes_per_second"
        case validates = "validate"
        case requestSize = "request_bytes"
        case memory = "memory_bytes"
        case pageSize = "rx_page_bytes"
        case busyPoll = "busy_poll_us"
        case farProcessors = "far_cpus"
        case source = "from"
    }

    /// Bytes that the unread payload of each flow may hold, so that all together leave the NIC half of
    /// the dma-buf; nil for one flow alone. Flows to host memory have the same bound, so that the two
    /// compare.
    var receiveShare: UInt64? { flows > 1 ? memory / UInt64(2 * flows) : nil }

    /// The most flows, and threads, that a plan has.
    package static let limits = (flows: 1024, threads: 256)

    /// Refuses what makes no sense or would take a host's memory, wherever it comes from.
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
            (farProcessors.allSatisfy { (0..<Affinity.limit).contains($0) }, "no such CPU"),
        ]
        guard let wrong = tests.first(where: { !$0.0 }) else { return }
        throw DevmemError(.invalid, call: "plan a benchmark", message: wrong.1)
    }

    /// As the kernel's names are (TCP_CA_NAME_MAX of include/net/tcp.h).
    private static func isName(_ text: String) -> Bool {
        (1..<16).contains(text.utf8.count)
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }
}

/// What an end does of a plan.
struct BenchRole: Equatable, Sendable {
    /// Where payload that comes is put, if some comes.
    var receives: BenchMemory?
    /// Where payload that goes is taken from, if some goes.
    var sends: BenchMemory?
    /// Whether this end sends the requests.
    var asks: Bool

    /// The near end's part.
    static func near(of plan: BenchPlan) -> BenchRole {
        BenchRole(
            receives: plan.inbound?.receiver, sends: plan.outbound?.sender, asks: true)
    }

    /// The far end's part.
    static func far(of plan: BenchPlan) -> BenchRole {
        BenchRole(
            receives: plan.outbound?.receiver, sends: plan.inbound?.sender, asks: false)
    }
}

import Histogram

/// What a benchmark measured. The keys of its JSON form are stable; `version` counts changes that
/// would break a reader.
public struct BenchReport: Codable, Equatable, Sendable {
    /// Version of this form.
    public var version = 1
    /// What was to be done.
    public var plan: BenchPlan
    /// Where the far end is.
    public var farEnd: String
    /// Payload to the near end, if any was to go there.
    public var inbound: BenchDirectionReport?
    /// Payload to the far end, if any was to go there.
    public var outbound: BenchDirectionReport?
    /// The near end.
    public var near: BenchEndReport
    /// The far end; nil if it did not come to tell.
    public var far: BenchEndReport?
    /// What a GiB of payload, of both directions, cost the near end.
    public var nearCost: BenchCost
    /// What it cost the far end; nil if that did not come to tell.
    public var farCost: BenchCost?
    /// Times of responses; nil if there were none.
    public var latency: BenchLatency?
    /// Second by second.
    public var intervals: [BenchInterval]
    /// The signal that ended it early; nil if none did.
    public var stoppedBy: Int32?
    /// Whether that signal came to the far end.
    public var isStoppedByFar: Bool?
    /// What went wrong, in one line; nil if nothing did.
    public var failure: String?

    private enum CodingKeys: String, CodingKey {
        case version, plan, inbound, outbound, near, far, latency, intervals, failure
        case farEnd = "far_end"
        case nearCost = "near_cost"
        case farCost = "far_cost"
        case stoppedBy = "stopped_by_signal"
        case isStoppedByFar = "stopped_by_far_end"
    }

    init(_ plan: BenchPlan, far name: String, near: BenchEndReport, _ session: BenchSession) {
        self.init(
            plan, farEnd: name, near: near, far: session.other,
            intervals: BenchInterval.joined(near: session.samples, far: session.otherSamples))
        latency = session.latency.map(BenchLatency.init)
        stoppedBy = session.stoppedBy
        if stoppedBy != nil { isStoppedByFar = session.stoppedByOther }
    }

    /// Joins what both ends tell. Pure.
    ///
    /// - Parameters:
    ///   - plan: what was to be done.
    ///   - farEnd: where the far end is.
    ///   - near: what the near end did.
    ///   - far: what the far end did, if it told.
    ///   - intervals: what happened second by second.
    public init(
        _ plan: BenchPlan, farEnd: String, near: BenchEndReport, far: BenchEndReport?,
        intervals: [BenchInterval]
    ) {
        self.plan = plan
        self.farEnd = farEnd
        self.near = near
        self.far = far
        self.intervals = intervals
        inbound = plan.inbound.map {
            BenchDirectionReport($0, sender: far, receiver: near)
        }
        outbound = plan.outbound.map {
            BenchDirectionReport($0, sender: near, receiver: far)
        }
        let bytes = (inbound?.bytes ?? 0) + (outbound?.bytes ?? 0)
        nearCost = BenchCost(of: near, bytes: bytes)
        farCost = far.map { BenchCost(of: $0, bytes: bytes) }
        failure =
            Self.failure(near, far) ?? (bytes == 0 ? "no payload came while it measured" : nil)
        if failure == nil && far == nil { failure = "the far end did not come to tell" }
    }

    /// The first thing that went wrong, wrong bytes before all else.
    private static func failure(_ near: BenchEndReport, _ far: BenchEndReport?) -> String? {
        let ends = [("near", near)] + (far.map { [("far", $0)] } ?? [])
        for (name, end) in ends {
            for flow in end.flows {
                guard let first = flow.validation?.firstMismatch else { continue }
                return "payload of flow \(flow.flow) to the \(name) end is wrong from offset "
                    + "\(first.offset): found \(first.found), expected \(first.expected)"
            }
        }
        if let failure = near.failure ?? far?.failure { return failure }
        for (name, end) in ends {
            for flow in end.flows {
                if let failure = flow.failure {
                    return "flow \(flow.flow) at the \(name) end: \(failure)"
                }
            }
        }
        return nil
    }
}

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

/// Processor time for each GiB of payload, in seconds; zeros if there was no payload.
public struct BenchCost: Codable, Equatable, Sendable {
    /// In user mode, of the threads that carry flows.
    public var user: Double
    /// In the kernel, of these threads.
    public var system: Double
    /// In softirqs, of the whole host.
    public var softirq: Double

    private enum CodingKeys: String, CodingKey {
        case user = "user_seconds_per_gib"
        case system = "system_seconds_per_gib"
        case softirq = "host_softirq_seconds_per_gib"
    }

    init(of end: BenchEndReport, bytes: UInt64) {
        let gib = Double(bytes) / Double(1 << 30)
        func share(_ seconds: Double) -> Double { gib > 0 ? seconds / gib : 0 }
        user = share(end.userSeconds)
        system = share(end.systemSeconds)
        softirq = share(end.softirqSeconds)
    }
}

/// How long responses took, in microseconds.
public struct BenchLatency: Codable, Equatable, Sendable {
    /// Responses.
    public var count: UInt64
    /// The shortest time.
    public var minimum: Double
    /// The average.
    public var mean: Double
    /// The time that half of them took at most.
    public var p50: Double
    /// The time that 90 % of them took at most.
    public var p90: Double
    /// The time that 99 % of them took at most.
    public var p99: Double
    /// The time that 99.9 % of them took at most.
    public var p999: Double
    /// The longest time.
    public var maximum: Double

    private enum CodingKeys: String, CodingKey {
        case count
        case minimum = "min_us"
        case mean = "mean_us"
        case p50 = "p50_us"
        case p90 = "p90_us"
        case p99 = "p99_us"
        case p999 = "p999_us"
        case maximum = "max_us"
    }

    /// Reads a histogram of nanoseconds.
    init(_ histogram: Histogram<UInt64>) {
        func percentile(_ part: Double) -> Double {
            Double(histogram.valueAtPercentile(part)) / 1000
        }
        count = histogram.totalCount
        minimum = Double(histogram.min) / 1000
        mean = histogram.mean / 1000
        p50 = percentile(50)
        p90 = percentile(90)
        p99 = percentile(99)
        p999 = percentile(99.9)
        maximum = Double(histogram.max) / 1000
    }
}

import DevmemCore
/// What a benchmark measured. The keys of its JSON form are stable; `version` counts changes that
/// would break a reader.
package struct BenchReport: Codable, Equatable, Sendable {
    /// Version of this form.
    package var version = 1
    /// What was to be done.
    package var plan: BenchPlan
    /// Where the far end is.
    package var farEnd: String
    /// Payload to the near end, if any was to go there.
    package var inbound: BenchDirectionReport?
    /// Payload to the far end, if any was to go there.
    package var outbound: BenchDirectionReport?
    /// The near end.
    package var near: BenchEndReport
    /// The far end; nil if it did not come to tell.
    package var far: BenchEndReport?
    /// What a GiB of payload, of both directions, cost the near end.
    package var nearCost: BenchCost
    /// What it cost the far end; nil if that did not come to tell.
    package var farCost: BenchCost?
    /// Times of responses; nil if there were none.
    package var latency: BenchLatency?
    /// Second by second.
    package var intervals: [BenchInterval]
    /// The signal that ended it early; nil if none did.
    package var stoppedBy: Int32?
    /// Whether that signal came to the far end.
    package var isStoppedByFar: Bool?
    /// What went wrong, in one line; nil if nothing did.
    package var failure: String?

    private enum CodingKeys: String, CodingKey {
        case version, plan, inbound, outbound, near, far, latency, intervals, failure
        case farEnd = "far_end"
        case nearCost = "near_cost"
        case farCost = "far_cost"
        case stoppedBy = "stopped_by_signal"
        case isStoppedByFar = "stopped_by_far_end"
    }

    init(
        _ plan: BenchPlan, far name: String, near: BenchEndReport, _ session: BenchSession,
        allowsHostMemory: Bool
    ) {
        self.init(
            plan, farEnd: name, near: near, far: session.other,
            intervals: BenchInterval.joined(near: session.samples, far: session.otherSamples),
            allowsHostMemory: allowsHostMemory)
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
    ///   - allowsHostMemory: whether it is no failure if no payload came in device memory.
    package init(
        _ plan: BenchPlan, farEnd: String, near: BenchEndReport, far: BenchEndReport?,
        intervals: [BenchInterval], allowsHostMemory: Bool = false
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
        let bytes = (inbound?.bytes ?? 0).saturatingAdding(outbound?.bytes ?? 0)
        nearCost = BenchCost(of: near, bytes: bytes)
        farCost = far.map { BenchCost(of: $0, bytes: bytes) }
        failure =
            Self.failure(near, far)
            ?? (bytes == 0 ? "no payload arrived during the measurement" : nil)
        if !allowsHostMemory { failure = failure ?? Self.misplacement(near, far) }
        if failure == nil && far == nil { failure = "the peer sent no report" }
    }

    /// The first end to which no payload came in device memory though it should.
    private static func misplacement(_ near: BenchEndReport, _ far: BenchEndReport?) -> String? {
        for (name, end) in [("this host", near)] + (far.map { [("the peer", $0)] } ?? []) {
            if let failure = end.placement?.failure { return "on \(name) \(failure)" }
        }
        return nil
    }

    /// The first thing that went wrong, wrong bytes before all else.
    private static func failure(_ near: BenchEndReport, _ far: BenchEndReport?) -> String? {
        let ends = [("this host", near)] + (far.map { [("the peer", $0)] } ?? [])
        for (name, end) in ends {
            for flow in end.flows {
                guard let first = flow.validation?.firstMismatch else { continue }
                return "payload of flow \(flow.flow) to \(name) is wrong from offset "
                    + "\(first.offset): found \(first.found), expected \(first.expected)"
            }
        }
        if let failure = near.failure ?? far?.failure { return failure }
        for (name, end) in ends {
            for flow in end.flows {
                if let failure = flow.failure {
                    return "flow \(flow.flow) on \(name): \(failure)"
                }
            }
        }
        return nil
    }
}

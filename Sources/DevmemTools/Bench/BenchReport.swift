import DevmemCore
/// The report of a benchmark. The JSON keys are stable; `version` increases with an incompatible
/// change.
package struct BenchReport: Codable, Equatable, Sendable {
    /// The version of this format.
    package var version = 1
    /// When the benchmark began, in UTC as ISO 8601 writes it.
    package var time: String?
    /// The plan.
    package var plan: BenchPlan
    /// The description of the remote side.
    package var peer: String
    /// Payload to the local side, if planned.
    package var inbound: BenchDirectionReport?
    /// Payload to the remote side, if planned.
    package var outbound: BenchDirectionReport?
    /// The report of the local side.
    package var near: BenchEndReport
    /// The report of the remote side; nil if it did not arrive.
    package var far: BenchEndReport?
    /// The local side's cost per GiB of payload, both directions together.
    package var nearCost: BenchCost
    /// The remote side's cost; nil if its report did not arrive.
    package var farCost: BenchCost?
    /// The latency of responses; nil if there were none.
    package var latency: BenchLatency?
    /// The intervals of one second.
    package var intervals: [BenchInterval]
    /// The signal that ended it early; nil if none did.
    package var stoppedBy: Int32?
    /// Whether the remote side received that signal.
    package var isStoppedByRemote: Bool?
    /// Why it failed, in one line; nil if it succeeded.
    package var failure: String?

    private enum CodingKeys: String, CodingKey {
        case version, time, plan, inbound, outbound, near, far, latency, intervals, failure
        case peer = "far_end"
        case nearCost = "near_cost"
        case farCost = "far_cost"
        case stoppedBy = "stopped_by_signal"
        case isStoppedByRemote = "stopped_by_far_end"
    }

    init(
        _ plan: BenchPlan, far name: String, near: BenchEndReport, _ session: BenchSession,
        allowsHostMemory: Bool
    ) {
        self.init(
            plan, peer: name, near: near, far: session.other,
            intervals: BenchInterval.joined(near: session.samples, far: session.otherSamples),
            allowsHostMemory: allowsHostMemory)
        latency = session.latency.map(BenchLatency.init)
        stoppedBy = session.stoppedBy
        if stoppedBy != nil { isStoppedByRemote = session.stoppedByOther }
    }

    /// Joins the reports of both sides. Pure.
    ///
    /// - Parameters:
    ///   - plan: the plan.
    ///   - peer: the description of the remote side.
    ///   - near: the report of the local side.
    ///   - far: the report of the remote side, if it arrived.
    ///   - intervals: the intervals.
    ///   - allowsHostMemory: whether it succeeds even if no payload arrives in device memory.
    package init(
        _ plan: BenchPlan, peer: String, near: BenchEndReport, far: BenchEndReport?,
        intervals: [BenchInterval], allowsHostMemory: Bool = false
    ) {
        self.plan = plan
        self.peer = peer
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

    /// Returns the failure of the first side that received no payload in device memory although
    /// requested.
    private static func misplacement(_ near: BenchEndReport, _ far: BenchEndReport?) -> String? {
        for (name, end) in [("this host", near)] + (far.map { [("the peer", $0)] } ?? []) {
            if let failure = end.placement?.failure { return "on \(name) \(failure)" }
        }
        return nil
    }

    /// Returns the first failure; corrupt payload takes precedence.
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

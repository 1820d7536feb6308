@testable import DevmemCore
@testable import DevmemTools

/// A valid plan.
func goodPlan() -> BenchPlan {
    var plan = BenchPlan()
    plan.inbound = BenchPlan.Direction(sender: .host, receiver: .device)
    plan.seconds = 1
    return plan
}

/// A report of one side with two flows.
func endReport(_ bytes: [UInt64], sent: [UInt64] = [0, 0]) -> BenchEndReport {
    var end = BenchEndReport()
    end.seconds = 2
    end.userSeconds = 1
    end.systemSeconds = 3
    end.flows = bytes.indices.map { index in
        var flow = BenchFlowReport(flow: index + 1)
        flow.received.deviceBytes = bytes[index]
        flow.received.ordinaryBytes = 1
        flow.received.fragments = 6
        flow.received.receiveCalls = 2
        flow.sent.sentBytes = sent[index]
        flow.retransmits = UInt64(index + 1)
        flow.roundTrip = 100
        return flow
    }
    return end
}

import DevmemCore
import DevmemTools

extension BenchReport {
    /// The number of bytes that differ from the pattern, in both directions.
    var wrongBytes: UInt64 {
        (inbound?.wrongBytes ?? 0).saturatingAdding(outbound?.wrongBytes ?? 0)
    }
}

/// Formats a benchmark's report as text: one fact per line, then a table of flows if there are
/// several.
func summary(of report: BenchReport) -> String {
    var lines: [(String, String)] = [
        ("this host", text(of: report.near)),
        ("peer", report.peer + (report.far.map { ", " + text(of: $0) } ?? "")),
        ("load", text(of: report.plan)),
    ]
    for (name, direction) in [("in", report.inbound), ("out", report.outbound)] {
        guard let direction else { continue }
        let ends = name == "in" ? ("the peer", "this host") : ("this host", "the peer")
        lines.append(("payload \(name)", text(of: direction)))
        lines.append(("sent \(name)", sentText(of: direction, at: ends.0)))
        lines.append(("received \(name)", receivedText(of: direction, at: ends.1)))
    }
    for (name, end) in [("here", report.near as BenchEndReport?), ("at peer", report.far)] {
        if let reason = end?.placement?.reason { lines.append(("elsewhere \(name)", reason)) }
    }
    lines.append(("threads here", threadText(of: report.near, report.plan)))
    if let far = report.far { lines.append(("threads at peer", threadText(of: far, report.plan))) }
    lines.append(("CPU here", text(of: report.near, report.nearCost)))
    if let far = report.far, let cost = report.farCost {
        lines.append(("CPU at peer", text(of: far, cost)))
    }
    lines.append(("calls here", calls(of: report.near)))
    if let far = report.far { lines.append(("calls at peer", calls(of: far))) }
    if let latency = report.latency { lines.append(("latency", text(of: latency))) }
    if report.plan.validates {
        lines.append(
            (
                "validation",
                report.wrongBytes == 0
                    ? "all right" : "\(counted(report.wrongBytes, "byte")) wrong"
            ))
    }
    if let failure = report.failure { lines.append(("failure", failure)) }
    return aligned(lines) + flowTable(of: report)
}

/// Formats what this host measured in one interval as a line, with the seconds left if they are
/// known.
func liveLine(of sample: BenchSample, left: Double?) -> String {
    func rate(_ bytes: [UInt64]) -> String {
        fixed(Double(bytes.saturatingSum) / max(sample.seconds, 1e-9) * 8 / 1e9, 3)
    }
    let processor = (sample.user + sample.system) / max(sample.seconds, 1e-9) * 100
    return
        "\(fixed(sample.time, 1)) s  in \(rate(sample.received))  out \(rate(sample.sent)) Gbit/s"
        + "  CPU \(fixed(processor, 0)) %"
        + (left.map { "  \(fixed($0.rounded(.up), 0)) s left" } ?? "")
}

private func text(of end: BenchEndReport) -> String {
    let driver = end.driver.map { ", driver \($0)" } ?? ""
    let queues = end.boundQueues.isEmpty ? "" : ", queues \(queueList(end.boundQueues))"
    let reason = end.engineReason.map { " (\($0))" } ?? ""
    let engine = end.engine == .ioUring ? ", by io_uring" + reason : reason
    return (end.interface ?? "no NIC") + queues + driver + engine
}

private func threadText(of end: BenchEndReport, _ plan: BenchPlan) -> String {
    threadText(
        cpus: end.processors, reason: end.processorsReason, isNAPIThreaded: end.isNAPIThreaded,
        busyPoll: plan.busyPoll)
}

private func text(of plan: BenchPlan) -> String {
    var parts = [counted(plan.flows, "flow"), counted(plan.threads, "thread")]
    if let size = plan.requestSize {
        parts.append("requests of \(ByteCount.text(UInt64(size)))")
    } else {
        parts.append("messages of \(ByteCount.text(UInt64(plan.message)))")
    }
    if plan.warmUp > 0 { parts.append("warm-up \(fixed(plan.warmUp, 1)) s") }
    return parts.joined(separator: ", ")
}

private func text(of direction: BenchDirectionReport) -> String {
    "\(direction.memory.sender.rawValue) to \(direction.memory.receiver.rawValue), "
        + "\(counted(direction.bytes, "byte")) in \(fixed(direction.seconds, 3)) s, "
        + "\(gigabits(direction.bytesPerSecond)) Gbit/s, "
        + counted(direction.retransmits, "retransmit")
}

/// Says which memory payload was sent from.
private func sentText(of direction: BenchDirectionReport, at end: String) -> String {
    let bytes = direction.sentBytes.map { counted($0, "byte") } ?? "an unknown number of bytes"
    return "\(bytes) from \(direction.memory.sender.rawValue) memory of \(end)"
}

/// Says which memory payload was received into.
private func receivedText(of direction: BenchDirectionReport, at end: String) -> String {
    let place = "\(direction.memory.receiver.rawValue) memory of \(end)"
    guard direction.memory.receiver == .device else {
        return "\(counted(direction.bytes, "byte")) in \(place)"
    }
    return "\(counted(direction.deviceBytes, "byte")) in \(place), "
        + "\(direction.elsewhereBytes) elsewhere, "
        + "\(fixed(direction.fragmentsPerCall, 1)) fragments per call"
}

private func text(of end: BenchEndReport, _ cost: BenchCost) -> String {
    "\(fixed(end.userSeconds, 2)) s user, \(fixed(end.systemSeconds, 2)) s system; "
        + "\(fixed(cost.user, 3)) and \(fixed(cost.system, 3)) s/GiB; "
        + "host's softirq time \(fixed(end.softirqSeconds, 2)) s"
}

private func calls(of end: BenchEndReport) -> String {
    let (received, sent) = (end.received, end.sent)
    return "\(received.receiveCalls) recvmsg, \(received.tokenCalls) setsockopt to return "
        + "\(counted(received.tokenRanges, "token range")), \(sent.sendCalls) sendmsg, "
        + counted(sent.completions, "completion")
}

private func text(of latency: BenchLatency) -> String {
    "\(counted(latency.count, "response")), p50 \(fixed(latency.p50, 1)), p90 \(fixed(latency.p90, 1)), "
        + "p99 \(fixed(latency.p99, 1)), p99.9 \(fixed(latency.p999, 1)), "
        + "max \(fixed(latency.maximum, 1)) us"
}

private func flowTable(of report: BenchReport) -> String {
    guard report.plan.flows > 1 else { return "" }
    var table = TextTable(["flow#", "direction", "Gbit/s#", "bytes#", "retransmits#", "rtt us#"])
    for (name, direction) in [("in", report.inbound), ("out", report.outbound)] {
        for flow in direction?.flows ?? [] {
            table.add([
                "\(flow.flow)", name, gigabits(flow.bytesPerSecond), "\(flow.bytes)",
                "\(flow.retransmits)", "\(flow.roundTrip)",
            ])
        }
    }
    return table.lines.map { $0 + "\n" }.joined()
}

private func gigabits(_ bytesPerSecond: Double) -> String { fixed(bytesPerSecond * 8 / 1e9, 3) }

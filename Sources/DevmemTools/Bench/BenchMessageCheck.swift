import DevmemCore
/// Limits on the numbers and texts of a message. Values within them can be added, divided and
/// plotted without further checks.
private enum Bound {
    /// Bytes, calls and other counters: more than 800 Gbit/s transfer in a week.
    static let counter: UInt64 = 1 << 56
    /// Seconds of elapsed time, or of CPU time over all CPUs of a large host.
    static let seconds = 1e9
    /// The length of a name in bytes.
    static let name = 256
    /// The length of a text in bytes.
    static let sentence = 16384
    /// The number of counters of a queue.
    static let counters = 256
    /// The number of receive queues bound to one dma-buf.
    static let queues = 1 << 16
}

extension BenchMessage {
    /// Checks for values that this program never sends, because any host can connect.
    ///
    /// - Throws: `DevmemError` of kind `malformed` that names the value.
    func check() throws(DevmemError) {
        guard let wrong else { return }
        throw DevmemError(.malformed, call: "read a message", message: wrong)
    }

    /// The message with each of its texts escaped. The peer's texts appear in tables and summaries,
    /// and must not imitate a line of this side.
    var printed: BenchMessage {
        switch self {
        case .flow(var flow):
            flow.failure = flow.failure.map { printable($0) }
            return .flow(flow)
        case .queue(var queue):
            queue.type = printable(queue.type)
            queue.counters = Dictionary(
                queue.counters.map { (printable($0.key), $0.value) }, uniquingKeysWith: max)
            return .queue(queue)
        case .end(var report):
            report.host = report.host.map { printable($0) }
            report.kernel = report.kernel.map { printable($0) }
            report.interface = report.interface.map { printable($0) }
            report.driver = report.driver.map { printable($0) }
            report.engineReason = report.engineReason.map { printable($0) }
            report.processors = report.processors.map { printable($0) }
            report.processorsReason = report.processorsReason.map { printable($0) }
            let reason = report.placement?.reason.map { printable($0) }
            report.placement?.reason = reason
            report.failure = report.failure.map { printable($0) }
            return .end(report)
        case .failure(let text): return .failure(printable(text))
        case .hello, .plan, .ready, .connect, .connected, .start, .interval, .stop, .pool:
            return self
        }
    }

    /// The first invalid value; nil if all are valid.
    private var wrong: String? {
        switch self {
        case .hello, .plan, .ready, .connect, .start: nil
        case .connected(let ends):
            ends.count <= BenchPlan.limits.flows ? nil : counted(ends.count, "flow")
        case .interval(let sample): sample.wrong
        case .stop(let signal): (1...64).contains(signal) ? nil : "signal \(signal)"
        case .flow(let flow): flow.wrong
        case .queue(let queue): queue.wrong
        case .pool: nil
        case .end(let report): report.wrong
        case .failure(let text): wrongText(text, Bound.sentence)
        }
    }
}

extension BenchSample {
    fileprivate var wrong: String? {
        guard received.count == sent.count, received.count <= BenchPlan.limits.flows else {
            return counted(max(received.count, sent.count), "flow")
        }
        return wrongTime([time, seconds, user, system, softirq]) ?? wrongCount(received + sent)
    }
}

extension BenchFlowReport {
    fileprivate var wrong: String? {
        guard (1...BenchPlan.limits.flows).contains(flow) else { return "flow \(flow)" }
        let validated = validation.map { [$0.checkedBytes, $0.wrongBytes] } ?? []
        return wrongCount(
            [
                received.deviceBytes, received.linearBytes, received.ordinaryBytes,
                received.fragments, received.receiveCalls, received.tokenCalls,
                received.tokenRanges, sent.sentBytes, sent.acknowledgedBytes,
                sent.receivedBytes, sent.inputCalls, sent.sendCalls, sent.completions,
                sent.copiedSends,
                sent.bufferWaits, retransmits, roundTrip, roundTripVariation,
            ] + validated) ?? wrongText(failure, Bound.sentence)
    }
}

extension BenchEndReport.Queue {
    fileprivate var wrong: String? {
        guard counters.count <= Bound.counters else { return counted(counters.count, "counter") }
        return ([type] + counters.keys).lazy.compactMap { wrongText($0, Bound.name) }.first
    }
}

extension BenchEndReport {
    fileprivate var wrong: String? {
        guard boundQueues.count <= Bound.queues else { return counted(boundQueues.count, "queue") }
        let share = placement.map { [$0.deviceShare] } ?? []
        return wrongTime([seconds, userSeconds, systemSeconds, softirqSeconds] + share)
            ?? wrongText(host, Bound.name) ?? wrongText(kernel, Bound.name)
            ?? wrongText(interface, Bound.name) ?? wrongText(driver, Bound.name)
            ?? wrongText(engineReason, Bound.sentence)
            ?? wrongText(processors, Bound.sentence)
            ?? wrongText(processorsReason, Bound.sentence)
            ?? wrongText(placement?.reason, Bound.sentence)
            ?? wrongText(failure, Bound.sentence)
    }
}

private func wrongCount(_ counts: [UInt64]) -> String? {
    counts.first { $0 > Bound.counter }.map { "a count of \($0)" }
}

private func wrongTime(_ times: [Double]) -> String? {
    // NaN is in no range.
    times.first { !(0...Bound.seconds).contains($0) }.map { "\($0) seconds" }
}

private func wrongText(_ text: String?, _ most: Int) -> String? {
    guard let count = text?.utf8.count, count > most else { return nil }
    return "a text of \(count) bytes"
}

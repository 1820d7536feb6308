import DevmemCore
import Glibc
import Histogram
import SystemPackage

/// A benchmark while payload flows, on either side: watches the threads, the peer, the NIC and
/// signals.
final class BenchSession {
    /// The time that flows get to finish after the end.
    private static let grace = Duration.seconds(30)
    /// The timeout if no payload moves at all.
    private static let idleTimeout = Duration.seconds(60)

    private let workers: WorkerPool
    private let channel: BenchChannel
    private let stop: SharedStopSignal
    private let nic: BenchNIC
    private let times: MeasurementTimes
    private let needsOther: Bool
    private var meter: BenchMeter
    private var giveUp: ContinuousClock.Instant?
    private var lastMove: ContinuousClock.Instant
    private var moved: [UInt64] = []
    private var countersBefore: [QueueStatistics] = []
    private var hasGivenUp = false
    private var hasTimedOut = false
    private var failure: String?
    private var pools: [BenchEndReport.Pool] = []
    private var softirq = 0.0

    private let begun: ContinuousClock.Instant
    private var peerReport: PeerReportAssembler

    /// The peer's report.
    var other: BenchEndReport? { peerReport.report }
    /// The samples of this side, one per second.
    private(set) var samples: [BenchSample] = []
    /// The samples of the peer.
    var otherSamples: [BenchSample] { peerReport.samples }
    /// The signal that ended it early, on either side.
    private(set) var stoppedBy: Int32?
    /// Whether the peer received that signal.
    private(set) var stoppedByOther = false
    /// The latency of responses in nanoseconds.
    private(set) var latency: Histogram<UInt64>?

    /// - Parameters:
    ///   - workers: the threads.
    ///   - channel: the channel to the peer.
    ///   - nic: the NIC.
    ///   - needsOther: whether to wait for the peer's report.
    ///   - stop: signals that end it early.
    init(
        _ workers: WorkerPool, over channel: BenchChannel, _ nic: BenchNIC,
        needsOther: Bool, stop: SharedStopSignal
    ) {
        self.workers = workers
        self.channel = channel
        self.stop = stop
        self.nic = nic
        self.needsOther = needsOther
        peerReport = PeerReportAssembler(flows: workers.plan.flows)
        let now = ContinuousClock.now
        begun = now
        times = MeasurementTimes(of: workers.plan, from: now)
        lastMove = now
        giveUp = times.end.map { $0 + Self.grace }
        meter = BenchMeter(workers.connections, times)
    }

    /// Runs the benchmark until all flows have ended.
    ///
    /// - Parameter seen: called with the sample of each second.
    /// - Returns: the report of this side.
    /// - Throws: `DevmemError` if the kernel's counters cannot be read, the NIC disappears, or the
    ///   peer does not finish.
    func run(seen: (BenchSample) -> Void) throws(DevmemError) -> BenchEndReport {
        do throws(DevmemError) {
            return try carryOut(seen)
        } catch {
            // The queues are about to be unbound; no thread may still use them.
            workers.giveUp()
            workers.awaitEnd(milliseconds: 5000)
            throw error
        }
    }

    private func carryOut(_ seen: (BenchSample) -> Void) throws(DevmemError) -> BenchEndReport {
        workers.start(times)
        var report: BenchEndReport?
        while true {
            if report == nil, let results = workers.results() {
                report = try conclude(results, seen)
            }
            if var report, !needsOther || other != nil || !channel.isOpen {
                // A failure after the report was made.
                report.failure = report.failure ?? failure
                return report
            }
            try sample(seen)
            giveUpIfDue()
            if hasTimedOut {
                let message = "the peer does not finish"
                guard var unfinished = report else {
                    throw DevmemError(.system, call: "end the benchmark", message: message)
                }
                unfinished.failure = unfinished.failure ?? message
                return unfinished
            }
            try wait(isWorking: report == nil)
        }
    }

    private func sample(_ seen: (BenchSample) -> Void) throws(DevmemError) {
        guard let due = meter.due, ContinuousClock.now >= due else { return }
        if countersBefore.isEmpty {
            countersBefore = try nic.counters()
        }
        if let sample = meter.sample() { note(sample, seen) }
        if meter.due == nil { pools = try nic.pools() }
    }

    private func note(_ sample: BenchSample, _ seen: (BenchSample) -> Void) {
        samples.append(sample)
        softirq += sample.softirq
        seen(sample)
    }

    /// Gives up the flows when their time is over, and the second time the whole session.
    private func giveUpIfDue() {
        let now = ContinuousClock.now
        let bytes = workers.connections.flatMap {
            [$0.received.load(ordering: .relaxed), $0.sent.load(ordering: .relaxed)]
        }
        if bytes != moved {
            moved = bytes
            lastMove = now
        }
        if let giveUp, now >= giveUp {
            if hasGivenUp { hasTimedOut = true } else { abandon() }
        } else if now - lastMove >= Self.idleTimeout {
            failure = failure ?? "no payload for \(Self.idleTimeout.components.seconds) s"
            abandon()
        }
    }

    private func abandon() {
        guard !hasGivenUp else { return }
        hasGivenUp = true
        giveUp = .now + Self.grace
        lastMove = .now
        workers.giveUp()
    }

    private func wait(isWorking: Bool) throws(DevmemError) {
        // A signal may have arrived during a write to the peer.
        if stoppedBy == nil, let signal = stop.pending() { try end(by: signal) }
        var watched = PollSet<4>()
        watched.watch(0, stop.signal.rawValue)
        watched.watch(1, isWorking ? workers.event.rawValue : nil)
        watched.watch(2, channel.rawValue)
        watched.watch(3, nic.watchDescriptor)
        let due = [meter.due, giveUp, lastMove + Self.idleTimeout].compactMap { $0 }.min() ?? .now
        let milliseconds = max(0, (due - .now) / .milliseconds(1)) + 1
        try watched.wait(milliseconds: Int32(clamping: Int(milliseconds)))
        if !watched.ready(1).isEmpty { workers.clearEvent() }
        if !watched.ready(0).isEmpty, let signal = stop.signal.pending() { try end(by: signal) }
        if !watched.ready(2).isEmpty { listen() }
        // If the NIC has disappeared, the benchmark ends: no more payload arrives.
        if !watched.ready(3).isEmpty { try nic.handleChanges() }
    }

    /// Ends the benchmark on a signal; a second signal gives up without waiting.
    private func end(by signal: Int32) throws(DevmemError) {
        guard stoppedBy == nil else {
            abandon()
            giveUp = .now + .seconds(1)
            return
        }
        stop.note(signal)
        stoppedBy = signal
        finishEarly()
        // A lost peer is noticed when its channel closes.
        try? channel.tell(.stop(signal: signal))
    }

    private func finishEarly() {
        workers.finish()
        giveUp = min(giveUp ?? .now + Self.grace, .now + Self.grace)
    }

    /// Handles messages from the peer. If they are invalid the flows are given up, but this side's
    /// results are still reported.
    private func listen() {
        do throws(DevmemError) {
            let isOpen = try channel.fill()
            while let message = try channel.next() { try processMessage(message) }
            guard !isOpen && other == nil else { return }
            failure = failure ?? "the peer is gone"
        } catch {
            failure = failure ?? error.description
            channel.close()
        }
        abandon()
    }

    private func processMessage(_ message: BenchMessage) throws(DevmemError) {
        if try peerReport.take(message, after: .now - begun) { return }
        switch message {
        case .stop(let signal):
            stoppedByOther = stoppedBy == nil
            stoppedBy = stoppedBy ?? signal
            finishEarly()
        case .failure(let text):
            failure = failure ?? "the peer: \(text)"
            finishEarly()
        default: throw channel.unexpected(message)
        }
    }

    /// Builds the report from the results of the threads.
    private func conclude(
        _ results: [BenchWorkerResult], _ seen: (BenchSample) -> Void
    ) throws(DevmemError) -> BenchEndReport {
        // A run may end between two samples.
        if meter.due != nil, let sample = meter.sample() {
            note(sample, seen)
            pools = try nic.pools()
        }
        var report = BenchEndReport()
        let host = HostIdentity.current
        report.host = host.name
        report.kernel = host.kernel
        report.interface = nic.interface.name
        report.driver = nic.interface.driver
        report.boundQueues = nic.queues
        report.engine = nic.engine
        report.engineReason = nic.engineReason
        report.seconds = results.compactMap(\.seconds).max() ?? 0
        report.userSeconds = results.reduce(0) { $0 + $1.user }
        report.systemSeconds = results.reduce(0) { $0 + $1.system }
        report.softirqSeconds = softirq
        report.processors = workers.placement.list
        report.processorsReason = workers.placement.reason
        let napi = workers.connections.first?.connection.incomingNAPI
        report.isNAPIThreaded = napi.flatMap { napiInstance($0)?.isThreaded }
        report.pools = pools
        report.queues = queueCounters(from: countersBefore, to: try nic.counters())
        report.flows = results.flatMap(\.flows).sorted { $0.flow < $1.flow }
        report.placement = placement(of: report)
        report.failure = failure ?? results.lazy.compactMap(\.failure).first?.description
        for result in results where result.latency.totalCount > 0 {
            if latency == nil { latency = result.latency } else { latency?.add(result.latency) }
        }
        return report
    }

    /// Describes where payload arrived; the first flow that missed device memory gives the reason.
    private func placement(of report: BenchEndReport) -> PayloadPlacement? {
        let missed = report.flows.first { $0.received.deviceBytes < $0.received.bytes }
        let number = (missed?.flow ?? 1) - 1
        guard workers.connections.indices.contains(number) else { return nil }
        let shared = workers.connections[number]
        return nic.placement(
            of: report.received,
            in: MisplacedStream(
                report.received, from: shared.connection.peer.address,
                through: shared.connection.incomingNAPI))
    }
}

/// Returns the increases of queue counters between two readings; idle queues are left out. Pure.
func queueCounters(
    from before: [QueueStatistics], to after: [QueueStatistics]
) -> [BenchEndReport.Queue] {
    after.compactMap { queue in
        guard let earlier = before.first(where: { $0.type == queue.type && $0.id == queue.id })
        else { return nil }
        let counters = queue.counters.reduce(into: [String: UInt64]()) { moved, counter in
            let start = earlier.counters[counter.key] ?? 0
            if counter.value > start { moved[counter.key] = counter.value - start }
        }
        guard !counters.isEmpty else { return nil }
        return BenchEndReport.Queue(
            type: queue.type == .rx ? "rx" : "tx", id: queue.id, counters: counters)
    }
}

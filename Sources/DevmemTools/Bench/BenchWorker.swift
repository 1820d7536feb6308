import DevmemCore
import Glibc
import Histogram

/// The times at which a thread starts to measure and ends.
struct MeasurementTimes: Sendable {
    /// The start of the measurement.
    var begin: ContinuousClock.Instant
    /// The end of the measurement, when senders stop; nil if the number of bytes decides.
    var end: ContinuousClock.Instant?

    /// Computes the times of a plan that starts at `start`.
    init(of plan: BenchPlan, from start: ContinuousClock.Instant) {
        begin = start + .seconds(plan.warmUp)
        end = plan.seconds.map { start + .seconds(plan.warmUp + $0) }
    }
}

/// A thread of a benchmark, which carries some of the flows and shares no state with other threads
/// on the data path.
final class BenchWorker {
    private let flows: [BenchFlow]
    private let memory: SendMemory?
    private let watch: Poller
    private let stop: StopBroadcast
    private let abort: StopBroadcast
    private var times: MeasurementTimes
    private var spent: TimeUsage?
    private var result = BenchWorkerResult()

    /// epoll data that stand for no flow.
    private enum Watched {
        static let stop = UInt64.max
        static let abort = UInt64.max - 1
    }

    /// - Parameters:
    ///   - flows: the flows to carry.
    ///   - memory: the memory to send from, if any.
    ///   - times: the times of the measurement.
    ///   - busyPoll: how long to poll the NIC before sleeping, in microseconds; nil for no busy
    ///     polling.
    ///   - stop: stops sending.
    ///   - abort: gives up the flows.
    /// - Throws: `DevmemError` of kind `system` if epoll fails.
    init(
        _ flows: [BenchFlow], _ memory: consuming SendMemory?, _ times: MeasurementTimes,
        busyPoll: UInt32?, stop: StopBroadcast, abort: StopBroadcast
    ) throws(DevmemError) {
        let watch = try Poller()
        if let busyPoll { try watch.enableBusyPolling(microseconds: busyPoll) }
        // io_uring's entry in a connection's wait queue is a later one and so woken first
        // (`add_wait_queue` of kernel/sched/wait.c): a change that epoll reports is known to it.
        for (index, flow) in flows.enumerated() {
            try watch.add(
                flow.shared.connection.rawValue, as: UInt64(index), for: [.input, .output],
                edgeTriggered: true)
        }
        try watch.add(stop.rawValue, as: Watched.stop, edgeTriggered: true)
        try watch.add(abort.rawValue, as: Watched.abort, edgeTriggered: true)
        self.flows = flows
        self.memory = memory
        self.watch = watch
        self.stop = stop
        self.abort = abort
        self.times = times
    }

    /// Carries the flows until all have ended.
    func run() throws(DevmemError) -> BenchWorkerResult {
        var isBusy = true
        var isOver = false
        while true {
            let now = ContinuousClock.now
            if spent == nil && now >= times.begin { begin(now) }
            if let end = times.end, now >= end, !isOver {
                isOver = true
                finish(now)
            }
            isBusy = false
            var isDone = true
            for flow in flows where !flow.isDone {
                flow.endWait(now)
                if flow.step(memory, isOver: isOver, answered: note) { isBusy = true }
                if flow.isDone { flow.markEnd() } else { isDone = false }
            }
            if isDone { break }
            try wait(isBusy ? 0 : timeout(isOver: isOver))
        }
        if result.seconds == nil { finish(.now) }
        result.flows = flows.map(BenchFlowReport.init)
        return result
    }

    private func begin(_ now: ContinuousClock.Instant) {
        spent = TimeUsage()
        for flow in flows { flow.markBegin() }
    }

    /// Ends the measurement, and stops sending.
    private func finish(_ now: ContinuousClock.Instant) {
        if let spent {
            let soFar = spent.soFar
            (result.seconds, result.user, result.system) = (
                soFar.seconds, soFar.user, soFar.system
            )
        } else {
            begin(now)
            result.seconds = 0
        }
        for flow in flows {
            flow.markEnd()
            flow.finishSending()
        }
    }

    private func note(_ time: Duration) {
        guard spent != nil, result.seconds == nil else { return }
        let parts = time.components
        let nanoseconds = parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
        result.latency.record(UInt64(clamping: nanoseconds))
    }

    /// Returns the milliseconds until the next deadline; -1 if there is none.
    private func timeout(isOver: Bool) -> Int32 {
        var due = spent == nil ? times.begin : isOver ? nil : times.end
        for flow in flows where !flow.isDone {
            if let end = flow.coalescesUntil { due = min(due ?? end, end) }
        }
        guard let due else { return -1 }
        // Round up, so that the deadline has passed when the wait ends.
        return Int32(clamping: Int(max(0, (due - .now) / .milliseconds(1))) + 1)
    }

    private func wait(_ milliseconds: Int32) throws(DevmemError) {
        try watch.wait(milliseconds: milliseconds) { tag, events in
            switch tag {
            case Watched.stop: times.end = min(times.end ?? .now, .now)
            case Watched.abort:
                let error = DevmemError(
                    .system, call: "end the flow", message: "it did not come to its end")
                for flow in flows { flow.abandon(error) }
            default: flows[Int(tag)].note(events)
            }
        }
    }
}

/// The results of a thread.
struct BenchWorkerResult: Sendable {
    /// The duration of the measurement in seconds; nil if it did not end.
    var seconds: Double?
    /// User time during the measurement, in seconds.
    var user = 0.0
    /// System time during the measurement, in seconds.
    var system = 0.0
    var flows: [BenchFlowReport] = []
    /// The latency of responses in nanoseconds.
    var latency = Histogram<UInt64>(
        highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)
    /// Why the thread failed; nil if it did not.
    var failure: DevmemError?
}

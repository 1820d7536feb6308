import DevmemCore
import Glibc
import Histogram

/// When a thread begins, measures and ends.
struct BenchTimes: Sendable {
    /// When measuring begins.
    var begin: ContinuousClock.Instant
    /// When it ends and nothing new is sent; nil if the flows' bytes decide.
    var end: ContinuousClock.Instant?

    /// The times of a plan that starts now.
    init(of plan: BenchPlan, from start: ContinuousClock.Instant) {
        begin = start + .seconds(plan.warmUp)
        end = plan.seconds.map { start + .seconds(plan.warmUp + $0) }
    }
}

/// Carries some flows of a benchmark in one thread, which shares nothing with others on the way.
final class BenchWorker {
    private let flows: [BenchFlow]
    private let memory: SendMemory?
    private let watch: Poller
    private let stop: StopBroadcast
    private let abort: StopBroadcast
    private var times: BenchTimes
    private var spent: TimeUsage?
    private var result = BenchWorkerResult()

    /// Numbers in epoll's data that stand for no flow.
    private enum Watched {
        static let stop = UInt64.max
        static let abort = UInt64.max - 1
    }

    /// - Parameters:
    ///   - flows: what it carries.
    ///   - memory: what it sends from, if it sends.
    ///   - times: when it measures.
    ///   - busyPoll: microseconds to poll the NIC for before it sleeps; nil for none.
    ///   - stop: ends what it sends.
    ///   - abort: gives the flows up.
    /// - Throws: `DevmemError` of kind `system` if the kernel cannot watch the connections so.
    init(
        _ flows: [BenchFlow], _ memory: consuming SendMemory?, _ times: BenchTimes,
        busyPoll: UInt32?, stop: StopBroadcast, abort: StopBroadcast
    ) throws(DevmemError) {
        let watch = try Poller()
        if let busyPoll { try watch.enableBusyPolling(microseconds: busyPoll) }
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

    /// Carries the flows to their end.
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

    /// Ends measuring, and what this end sends.
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

    /// Milliseconds until something is due.
    private func timeout(isOver: Bool) -> Int32 {
        let due = spent == nil ? times.begin : isOver ? nil : times.end
        guard let due else { return -1 }
        // A millisecond more than is left of the last one.
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

/// What a thread has to tell.
struct BenchWorkerResult: Sendable {
    /// Seconds measured; nil if measuring did not end.
    var seconds: Double?
    /// Processor time while measuring, in user mode, in seconds.
    var user = 0.0
    /// Processor time while measuring, in the kernel, in seconds.
    var system = 0.0
    var flows: [BenchFlowReport] = []
    /// Times of responses in nanoseconds.
    var latency = Histogram<UInt64>(
        highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)
    /// Why it could not work.
    var failure: DevmemError?
}

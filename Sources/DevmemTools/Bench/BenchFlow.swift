import DevmemCore
import CDevmem
import Glibc
import SystemPackage
import Synchronization

/// A connection of a benchmark. Only the thread that created it accesses it.
final class BenchFlow {
    /// The maximum number of consecutive calls before other flows get a turn.
    private static let turn = 16

    /// The index of the flow, starting at 0.
    let number: Int
    let shared: BenchConnection
    private let requestSize: Int?
    private let asks: Bool
    private let receives: Bool
    private let sends: Bool
    private var source: BenchSource
    private var sender: PayloadSender
    private var receiver: PayloadReceiver
    private var sink: OptionalSink<PatternSink>
    private let never = StopSignal()
    // Edge-triggered epoll reports changes only, so both are assumed until a call would block.
    private var isReadable = true
    private var isWritable = true
    /// Nil for requests and responses, which are answered at once.
    private var coalescer: ReceiveCoalescer?
    /// When the wait for more payload ends; nil if there is none.
    private(set) var coalescesUntil: ContinuousClock.Instant?
    /// Whether only a completion allows further sends.
    private var waitsForCompletion = false
    private var peerClosed = false
    /// Whether the peer has acknowledged everything that this side sent.
    private var isDelivered = false
    /// When the outstanding request was sent.
    private var asked: ContinuousClock.Instant?
    private(set) var failure: DevmemError?
    /// The counters at the start of the measurement.
    private(set) var begin = FlowSnapshot()
    /// The counters at the end of the measurement; nil before.
    private(set) var end: FlowSnapshot?

    /// - Parameters:
    ///   - number: the index of the flow, starting at 0.
    ///   - shared: the connection.
    ///   - plan: the plan.
    ///   - role: this side's role in the plan.
    ///   - bound: the device memory to receive into, if any.
    /// - Throws: `DevmemError` if there is no pattern to compare with.
    init(
        _ number: Int, _ shared: BenchConnection, _ plan: BenchPlan, _ role: BenchRole,
        bound: BoundMemory?
    ) throws(DevmemError) {
        self.number = number
        self.shared = shared
        requestSize = plan.requestSize
        asks = role.asks
        receives = role.receives != nil
        let checks = plan.validates && receives
        sink = OptionalSink(
            checks ? PatternSink(try Pattern("\(ValidationPeerRequest.period)")) : nil)
        receiver = PayloadReceiver(
            role.receives == .device ? bound : nil, isDeviceOnly: false, share: plan.receiveShare)
        // The thread drops its privileges once all its flows are made.
        try receiver.join(shared.connection)
        coalescer =
            plan.requestSize == nil
            ? ReceiveCoalescer(memory: plan.receiveShare ?? bound?.dmabuf.size ?? .max) : nil
        sends = role.sends != nil
        let share = plan.bytes.map {
            BenchSchedule.share(of: $0, flow: number, flows: plan.flows)
        }
        source = BenchSource(
            allowance: sends && plan.requestSize == nil ? share ?? .max : 0, message: plan.message)
        sender = try PayloadSender(
            of: source, memory: BenchSource.memorySize, chunk: plan.message)
    }

    /// Whether the flow has ended.
    var isDone: Bool {
        failure != nil
            || sender.hasFinished && peerClosed && sender.outstandingSends == 0 && isDelivered
    }

    /// The result of the comparison; nil if payload is not compared.
    var validation: PatternComparison? { sink.findings.validation }

    /// Records events from epoll.
    func note(_ events: PollEvents) {
        if events.allowReading { becomeReadable() }
        // A completion alone does not say that there is room for more than a small send. A receive
        // call reports an error that is not a completion.
        if events.allowWriting || waitsForCompletion && events.reportFailure { isWritable = true }
        guard events.reportFailure, failure == nil else { return }
        do throws(DevmemError) {
            // An error that is not a completion is reported by the next call.
            try sender.collect(shared.connection, for: &source)
        } catch {
            failure = error
        }
    }

    private func becomeReadable() {
        isReadable = true
        coalescesUntil = nil
    }

    /// Receives what has arrived if it has been coalesced for long enough.
    func endWait(_ now: ContinuousClock.Instant) {
        guard let end = coalescesUntil, now >= end else { return }
        becomeReadable()
        do throws(DevmemError) {
            // io_uring leaves alone what is below SO_RCVLOWAT.
            try coalescer?.end(shared.connection)
        } catch {
            failure = failure ?? error
        }
    }

    /// Stops sending because time is up.
    func finishSending() {
        // An outstanding request still gets its response.
        guard requestSize == nil else { return }
        source.allowance = sender.counts.sentBytes
    }

    /// Ends the flow with an error.
    func abandon(_ error: DevmemError) {
        if !isDone { failure = failure ?? error }
    }

    /// Receives and sends for one turn.
    ///
    /// - Parameters:
    ///   - memory: the memory to send from, if any.
    ///   - isOver: whether this side starts nothing new.
    ///   - answered: called with the latency of each response.
    /// - Returns: whether more can be done without waiting.
    func step(
        _ memory: borrowing SendMemory?, isOver: Bool, answered: (Duration) -> Void
    ) -> Bool {
        guard !isDone else { return false }
        do throws(DevmemError) {
            try receive()
            if requestSize != nil { exchange(isOver: isOver, answered) }
            try send(memory, isOver: isOver)
            // Only now, as it takes time: it finds the connection empty and returns the tokens.
            if requestSize != nil { try receive() }
            // A reset completes all sends, so the absence of outstanding sends does not prove
            // delivery.
            if sender.hasFinished && peerClosed && sender.outstandingSends == 0 && !isDelivered {
                isDelivered = sends ? try shared.connection.hasDelivered() : true
            }
        } catch {
            // A receive call reports a reset first, even on a flow that only sends.
            failure =
                error.errno == .connectionReset && !receives
                ? shared.connection.deliveryError(.connectionReset) : error
        }
        return !isDone && (isReadable && !peerClosed || isWritable && wantsToSend)
    }

    /// The counters now.
    var mark: FlowSnapshot {
        var mark = FlowSnapshot()
        mark.received = receiver.counts
        sender.countAcknowledged(shared.connection)
        mark.sent = sender.counts
        mark.sent.receivedBytes = mark.received.bytes
        mark.info = shared.connection.info()
        return mark
    }

    /// Marks the start of the measurement.
    func markBegin() { begin = mark }

    /// Marks the end of the measurement; only the first call has an effect.
    func markEnd() { if end == nil { end = mark } }

    private var wantsToSend: Bool {
        !sender.hasFinished && sender.counts.sentBytes < source.allowance
    }

    /// Receives until the connection is empty, the turn is over, or a message is complete that the
    /// peer expects an answer to.
    private func receive() throws(DevmemError) {
        var left = Self.turn
        while isReadable && !peerClosed && left > 0 {
            left -= 1
            switch try receiver.step(shared.connection, into: &sink, until: never) {
            case .bytes(let count):
                coalescer?.received(count)
                shared.received.store(
                    shared.received.load(ordering: .relaxed) &+ UInt64(count), ordering: .relaxed)
                if let requestSize, receiver.counts.bytes % UInt64(requestSize) == 0 { return }
            case .nothing:
                isReadable = false
                let limit = try coalescer?.prepare(shared.connection)
                coalescesUntil = limit.map { .now + .milliseconds($0) }
            case .end: peerClosed = true
            case .stopped: break
            }
        }
    }

    /// Allows the next request or response to be sent.
    private func exchange(isOver: Bool, _ answered: (Duration) -> Void) {
        guard let size = requestSize.map(UInt64.init) else { return }
        let got = receiver.counts.bytes
        let allowed = source.allowance
        guard asks else {
            // One response is due for each complete request.
            source.allowance = got / size * size
            return
        }
        guard got == allowed else { return }
        if let asked {
            answered(ContinuousClock.now - asked)
            self.asked = nil
        }
        guard !isOver else { return }
        asked = .now
        source.allowance = allowed + size
    }

    private func send(_ memory: borrowing SendMemory?, isOver: Bool) throws(DevmemError) {
        var left = Self.turn
        sending: while wantsToSend && isWritable && left > 0 {
            left -= 1
            switch memory {
            case .some(let given):
                let step = try sender.step(shared.connection, from: &source, in: given)
                waitsForCompletion = step == .waitsForCompletion
                if step != .sent { isWritable = false }
            case .none: break sending
            }
        }
        if left < Self.turn { shared.sent.store(sender.counts.sentBytes, ordering: .relaxed) }
        guard !sender.hasFinished, !wantsToSend, hasSentAll(isOver) else { return }
        try sender.finish(shared.connection)
    }

    /// Whether everything has been sent. A side that only receives closes after its peer, which
    /// shows the peer that everything has arrived.
    private func hasSentAll(_ isOver: Bool) -> Bool {
        guard sends else { return peerClosed }
        guard requestSize != nil else { return true }
        return peerClosed || asks && isOver && asked == nil
    }
}

import DevmemCore
import CDevmem
import Glibc
import SystemPackage
import Synchronization

/// One connection of a benchmark. Only the thread that made it touches it.
final class BenchFlow {
    /// Calls in a row before other flows have their turn.
    private static let turn = 16

    /// Its number, from zero.
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
    // Taken for ready until a call says otherwise; epoll tells of changes only.
    private var isReadable = true
    private var isWritable = true
    private var sendingEnded = false
    private var peerClosed = false
    /// Whether the peer has acknowledged everything that this end sent.
    private var isDelivered = false
    /// When the request that is under way was sent.
    private var asked: ContinuousClock.Instant?
    private(set) var failure: DevmemError?
    /// What it had done when measuring began.
    private(set) var begin = FlowSnapshot()
    /// What it had done when measuring ended; nil before.
    private(set) var end: FlowSnapshot?

    /// - Parameters:
    ///   - number: its number, from zero.
    ///   - shared: the connection.
    ///   - plan: what to do.
    ///   - role: this end's part of it.
    ///   - bound: memory to receive into, if it is the device's.
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
        sink = OptionalSink(checks ? PatternSink(try Pattern("\(FarEndRequest.period)")) : nil)
        receiver = PayloadReceiver(role.receives == .device ? bound : nil)
        sends = role.sends != nil
        let share = plan.bytes.map {
            BenchSchedule.share(of: $0, flow: number, flows: plan.flows)
        }
        source = BenchSource(
            allowance: sends && plan.requestSize == nil ? share ?? .max : 0, message: plan.message)
        sender = try PayloadSender(
            of: source, memory: BenchSource.memorySize, chunk: plan.message)
    }

    /// Whether nothing is left to do.
    var isDone: Bool {
        failure != nil || sendingEnded && peerClosed && sender.outstandingSends == 0 && isDelivered
    }

    /// How payload compared; nil if it is not compared.
    var validation: PatternComparison? { sink.findings.validation }

    /// Notes what epoll tells.
    func note(_ events: PollEvents) {
        if !events.isDisjoint(with: [.input, .hangUp, .failure]) { isReadable = true }
        if !events.isDisjoint(with: [.output, .failure]) { isWritable = true }
        guard events.contains(.failure), failure == nil else { return }
        do throws(DevmemError) {
            // An error that is of no send is found by the next call.
            try sender.collect(shared.connection, for: &source)
        } catch {
            failure = error
        }
    }

    /// Ends what this end sends, as time is up.
    func finishSending() {
        // A request that is under way is still answered.
        guard requestSize == nil else { return }
        source.allowance = sender.counts.sentBytes
    }

    /// Gives the connection up.
    func abandon(_ error: DevmemError) {
        if !isDone { failure = failure ?? error }
    }

    /// Receives and sends for a while.
    ///
    /// - Parameters:
    ///   - memory: what to send from, if anything is sent.
    ///   - isOver: whether this end sends nothing new any more.
    ///   - answered: is told how long each response took.
    /// - Returns: whether there is more to do without waiting.
    func step(
        _ memory: borrowing SendMemory?, isOver: Bool, answered: (Duration) -> Void
    ) -> Bool {
        guard !isDone else { return false }
        do throws(DevmemError) {
            try receive()
            if requestSize != nil { exchange(isOver: isOver, answered) }
            try send(memory, isOver: isOver)
            // A reset completes every send, so that nothing is outstanding says little.
            if sendingEnded && peerClosed && sender.outstandingSends == 0 && !isDelivered {
                isDelivered = sends ? try shared.connection.hasDelivered() : true
            }
        } catch {
            // Receiving finds a reset first, also where there is nothing to receive.
            failure =
                error.errno == .connectionReset && !receives
                ? shared.connection.deliveryError(.connectionReset) : error
        }
        return !isDone && (isReadable && !peerClosed || isWritable && wantsToSend)
    }

    /// What it has done so far.
    var mark: FlowSnapshot {
        var mark = FlowSnapshot()
        mark.received = receiver.counts
        sender.countAcknowledged(shared.connection)
        mark.sent = sender.counts
        mark.sent.receivedBytes = mark.received.bytes
        mark.info = shared.connection.info()
        return mark
    }

    /// Measuring begins.
    func markBegin() { begin = mark }

    /// Measuring ends; the first call counts.
    func markEnd() { if end == nil { end = mark } }

    private var wantsToSend: Bool {
        !sendingEnded && sender.counts.sentBytes < source.allowance
    }

    private func receive() throws(DevmemError) {
        var left = Self.turn
        while isReadable && !peerClosed && left > 0 {
            left -= 1
            switch try receiver.step(shared.connection, into: &sink, until: never) {
            case .bytes(let count):
                shared.received.store(
                    shared.received.load(ordering: .relaxed) &+ UInt64(count), ordering: .relaxed)
            case .nothing: isReadable = false
            case .end: peerClosed = true
            case .stopped: break
            }
        }
    }

    /// Allows the next request or response.
    private func exchange(isOver: Bool, _ answered: (Duration) -> Void) {
        guard let size = requestSize.map(UInt64.init) else { return }
        let got = receiver.counts.bytes
        let allowed = source.allowance
        guard asks else {
            // Every request that is here in full has its response.
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
                if step != .sent { isWritable = false }
            case .none: break sending
            }
        }
        if left < Self.turn { shared.sent.store(sender.counts.sentBytes, ordering: .relaxed) }
        guard !sendingEnded, !wantsToSend, hasSentAll(isOver) else { return }
        try shared.connection.finishSending()
        sendingEnded = true
    }

    /// Whether nothing more will be sent: an end that only receives closes when its peer has, so
    /// that the peer learns that everything has arrived.
    private func hasSentAll(_ isOver: Bool) -> Bool {
        guard sends else { return peerClosed }
        guard requestSize != nil else { return true }
        return peerClosed || asks && isOver && asked == nil
    }
}

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
    private var sender: BenchSender?
    private var device: DeviceReceiver?
    private var host = HostReceiver()
    private var hostCounts = ReceiveCounts()
    private var consumer: PayloadConsumer
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
        consumer = PayloadConsumer(
            output: nil, pattern: checks ? try Pattern("\(FarEndRequest.period)") : nil)
        if role.receives == .device, let bound { device = DeviceReceiver(bound) }
        guard role.sends != nil else { return }
        let share = plan.bytes.map {
            BenchSchedule.share(of: $0, flow: number, flows: plan.flows)
        }
        sender = BenchSender(
            allowance: plan.requestSize == nil ? share ?? .max : 0, message: plan.message)
    }

    /// Whether nothing is left to do.
    var isDone: Bool {
        failure != nil || sendingEnded && peerClosed && outstanding == 0 && isDelivered
    }

    private var outstanding: Int {
        switch sender {
        case .some(let made): made.outstanding
        case .none: 0
        }
    }

    /// How payload compared; nil if it is not compared.
    var validation: PatternComparison? { consumer.validation }

    /// Notes what epoll tells.
    func note(_ events: PollEvents) {
        if !events.isDisjoint(with: [.input, .hangUp, .failure]) { isReadable = true }
        if !events.isDisjoint(with: [.output, .failure]) { isWritable = true }
        guard events.contains(.failure), failure == nil else { return }
        do throws(DevmemError) {
            // An error that is of no send is found by the next call.
            _ = try sender?.collect(shared.connection)
        } catch {
            failure = error
        }
    }

    /// Ends what this end sends, as time is up.
    func finishSending() {
        // A request that is under way is still answered.
        guard requestSize == nil else { return }
        let position = sentCounts.bytes
        sender?.allowance = position
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
            if sendingEnded && peerClosed && outstanding == 0 && !isDelivered {
                let sends = sender != nil
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
        mark.received = receivedCounts
        mark.sent = sentCounts
        mark.info = shared.connection.info()
        return mark
    }

    /// Measuring begins.
    func markBegin() { begin = mark }

    /// Measuring ends; the first call counts.
    func markEnd() { if end == nil { end = mark } }

    private var receivedCounts: ReceiveCounts {
        switch device {
        case .some(let made): made.counts
        case .none: hostCounts
        }
    }

    private var wantsToSend: Bool {
        guard !sendingEnded else { return false }
        switch sender {
        case .some(let made): return made.counts.bytes < made.allowance
        case .none: return false
        }
    }

    private func receive() throws(DevmemError) {
        var left = Self.turn
        while isReadable && !peerClosed && left > 0 {
            left -= 1
            switch try take() {
            case .bytes(let count):
                shared.received.store(
                    shared.received.load(ordering: .relaxed) &+ UInt64(count), ordering: .relaxed)
            case .nothing: isReadable = false
            case .end: peerClosed = true
            case .stopped: break
            }
        }
    }

    private func take() throws(DevmemError) -> StreamStep {
        if device != nil {
            return try device?.take(from: shared.connection, consumer: &consumer, stop: never)
                ?? .nothing
        }
        let step = try host.take(from: shared.connection, consumer: &consumer, stop: never)
        if case .bytes(let count) = step {
            hostCounts.ordinaryBytes += UInt64(count)
            hostCounts.receiveCalls += 1
        }
        return step
    }

    /// Allows the next request or response.
    private func exchange(isOver: Bool, _ answered: (Duration) -> Void) {
        guard let size = requestSize.map(UInt64.init) else { return }
        let got = receivedCounts.bytes
        let allowed = sender?.allowance ?? 0
        guard asks else {
            // Every request that is here in full has its response.
            sender?.allowance = got / size * size
            return
        }
        guard got == allowed else { return }
        if let asked {
            answered(ContinuousClock.now - asked)
            self.asked = nil
        }
        guard !isOver else { return }
        asked = .now
        sender?.allowance = allowed + size
    }

    private func send(_ memory: borrowing SendMemory?, isOver: Bool) throws(DevmemError) {
        var left = Self.turn
        sending: while wantsToSend && isWritable && left > 0 {
            left -= 1
            let round: BenchSender.Round?
            switch memory {
            case .some(let given): round = try sender?.send(given, over: shared.connection)
            case .none: round = nil
            }
            switch round {
            case .more: continue
            case .full: isWritable = false
            case .satisfied, .none: break sending
            }
        }
        if left < Self.turn { shared.sent.store(sentCounts.bytes, ordering: .relaxed) }
        guard !sendingEnded, !wantsToSend, hasSentAll(isOver) else { return }
        try shared.connection.finishSending()
        sendingEnded = true
    }

    private var sentCounts: BenchSendCounts {
        switch sender {
        case .some(let made): made.counts
        case .none: BenchSendCounts()
        }
    }

    /// Whether nothing more will be sent: an end that only receives closes when its peer has, so
    /// that the peer learns that everything has arrived.
    private func hasSentAll(_ isOver: Bool) -> Bool {
        guard sender != nil else { return peerClosed }
        guard requestSize != nil else { return true }
        return peerClosed || asks && isOver && asked == nil
    }
}

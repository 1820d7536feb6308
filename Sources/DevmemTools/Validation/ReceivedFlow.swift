import DevmemCore
import Glibc
import SystemPackage

/// A connection that receives a pattern into device memory: from a remote side that sends it on
/// request, or from an echo server that returns it.
struct ReceivedFlow: ~Copyable {
    private var connection: Connection?
    private let run: ValidationRun
    private let total: UInt64
    private let segment: Int
    /// The number of the request to the remote side; nil for an echo server.
    private let id: Int?
    private let bound: BoundMemory
    private let share: UInt64?
    private var receiver: PayloadReceiver
    private var sink: PatternSink
    /// The counts of echoed payload; nil if this side sent nothing.
    private var echoed: ReceiveCounts?
    private(set) var hasEnded = false

    init(
        _ run: ValidationRun, _ fixture: ReceiveFixture, ipv6: Bool, number: Int = 0, segment: Int,
        total: UInt64
    ) throws(DevmemError) {
        let pattern = try Pattern("\(ValidationPeerRequest.period)")
        var id: Int?
        let connection: Connection
        if let agent = run.peers.agent {
            let endpoint = try fixture.endpoint(ipv6: ipv6, number: number)
            id = try agent.ask(
                ValidationPeerRequest(
                    id: 0, action: .send, address: endpoint.address.description,
                    port: endpoint.port, from: run.peers.remote(ipv6: ipv6)?.description,
                    bytes: total, segment: segment))
            connection = try fixture.accept(ipv6: ipv6, number: number, for: run)
        } else {
            connection = try run.connectToEcho()
        }
        self.connection = consume connection
        self.run = run
        self.total = total
        self.segment = segment
        self.id = id
        bound = fixture.bound
        share = fixture.kind.share
        receiver = PayloadReceiver(fixture.bound, isDeviceOnly: false, share: share)
        sink = PatternSink(pattern)
    }

    /// The descriptor to poll.
    var number: Int32 {
        switch connection {
        case .some(let open): open.rawValue
        case .none: -1
        }
    }

    /// The payload received so far, by memory.
    var counts: ReceiveCounts { echoed ?? receiver.counts }

    /// Receives until end of stream; `progress` is called after each receive call with the payload
    /// bytes so far.
    mutating func run(progress: (UInt64) -> Void = { _ in }) throws(DevmemError) {
        guard let open = connection.take() else { return }
        if id == nil {
            try sendAndReceive(open)
        } else {
            let end = try receiver.run(
                open, into: &sink, until: run.stop.signal,
                limits: StreamLimits(idle: caseTimeout), progress: progress)
            if case .stopped(let signal) = end { throw run.interrupted(by: signal) }
        }
        hasEnded = true
    }

    private mutating func sendAndReceive(
        _ open: borrowing Connection
    ) throws(DevmemError) {
        try open.disableNagle()
        var exchange = try Exchange(
            sending: PatternSource(try Pattern("\(ValidationPeerRequest.period)"), bytes: total),
            from: SendMemory(host: 1 << 20),
            receiving: PayloadReceiver(bound, isDeviceOnly: false, share: share), chunk: segment)
        defer { echoed = exchange.receiver.counts }
        let end = try exchange.run(
            open, into: &sink, until: run.stop.signal,
            limits: StreamLimits(idle: caseTimeout, closing: caseTimeout))
        if case .stopped(let signal) = end { throw run.interrupted(by: signal) }
    }

    /// Receives once.
    ///
    /// - Returns: whether more may arrive.
    mutating func take() throws(DevmemError) -> Bool {
        let step: StreamStep
        switch connection {
        case .some(let open):
            step = try receiver.step(open, into: &sink, until: run.stop.signal)
        case .none: return false
        }
        if case .stopped(let signal) = step { throw run.interrupted(by: signal) }
        hasEnded = step == .end
        return !hasEnded
    }

    /// Closes the connection and checks whether the payload is complete, and in device memory
    /// unless `mayLieElsewhere` is set.
    mutating func finish(mayLieElsewhere: Bool = false) throws(DevmemError) -> CaseVerdict {
        connection = nil
        if !hasEnded { return .fail(shortfall) }
        let failure = try id.flatMap { id throws(DevmemError) in
            try run.peers.agent?.result(of: id).failure
        }
        let counts = counts
        return verdict(
            unless: failure.map { "the peer: \($0)" },
            sink.comparison.firstMismatch.map(\.description),
            counts.bytes == total ? nil : shortfall,
            mayLieElsewhere || counts.ordinaryBytes == 0
                ? nil
                : "\(counts.ordinaryBytes) of \(total) bytes arrived in ordinary memory: not split "
                    + "from their headers, or on a queue that is not bound",
            mayLieElsewhere || counts.linearBytes == 0
                ? nil
                : "\(counts.linearBytes) of \(total) bytes stayed with their headers")
    }

    private var shortfall: String {
        "only \(counts.bytes) of \(total) bytes arrived"
    }
}

extension ValidationRun {
    /// Returns the error of a case that a signal interrupted.
    func interrupted(by signal: Int32) -> DevmemError {
        stop.note(signal)
        return DevmemError(.system, call: "validate", errno: .interrupted)
    }

    /// Connects to the echo server.
    func connectToEcho() throws(DevmemError) -> Connection {
        guard let echo = peers.echo else {
            throw DevmemError(.invalid, call: "connect", message: "there is no peer")
        }
        let from = peers.local(ipv6: echo.address.isIPv6).map { Endpoint(address: $0, port: 0) }
        return try stop.connect(to: echo, from: from, milliseconds: caseTimeout)
    }
}

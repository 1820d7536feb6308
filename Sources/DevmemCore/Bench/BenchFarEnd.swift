import CDevmem
import Glibc
public import Logging
import SystemPackage

/// What the far end of a benchmark is told by its own user.
public struct BenchServeRequest: Sendable {
    /// Where the near end comes to.
    public var listen: Endpoint
    /// The only NIC to be used; nil for the one that leads to the near end.
    public var interface: String?
    /// The only address that may come; nil for any.
    public var from: IPAddress?
    /// Processors to pin threads to, one after another; none to do as the near end says.
    public var processors: [Int]

    /// Makes a request from its parts.
    public init(listen: Endpoint, interface: String?, from: IPAddress?, processors: [Int]) {
        self.listen = listen
        self.interface = interface
        self.from = from
        self.processors = processors
    }
}

/// Is the far end of benchmarks, one after another, until a signal comes.
///
/// - Parameters:
///   - request: what to do.
///   - stop: signals that end it in good order.
///   - listening: called once it listens, with the address.
///   - logger: is told of each benchmark, and of what went wrong in it.
/// - Returns: the signal.
/// - Throws: `DevmemError` if it cannot listen.
public func serveBench(
    _ request: BenchServeRequest, stop: consuming StopSignal, listening: (Endpoint) -> Void,
    logger: Logger
) throws(DevmemError) -> Int32 {
    if let name = request.interface { _ = try NetworkInterface(named: name) }
    let listener = try Listener(binding: request.listen)
    try listener.listen()
    listening(listener.endpoint)
    let holder = StopHolder(stop)
    while true {
        if let signal = holder.pending() { return signal }
        let wait = try holder.signal.wait(for: listener.rawValue, events: Int32(POLLIN))
        if case .stopped(let signal) = wait { return signal }
        guard let connection = try listener.accept() else { continue }
        let peer = connection.peer.address.unmapped
        if let from = request.from, from.unmapped != peer { continue }
        try makeBlocking(connection)
        logger.notice("benchmark with \(connection.peer)")
        let channel = BenchChannel(
            input: connection.rawValue, output: connection.rawValue, to: "\(connection.peer)",
            stop: holder)
        do throws(DevmemError) {
            try BenchFarEnd(channel, holder, logger).run(
                interface: request.interface, nearAddress: peer, scope: connection.peer.scope,
                processors: request.processors)
            logger.notice("benchmark with \(connection.peer) has ended")
        } catch {
            logger.error("\(error)")
        }
    }
}

/// Is the far end of the benchmark of whoever started this program, until its input ends.
///
/// - Parameters:
///   - input: the descriptor that the near end's words come from.
///   - output: the descriptor that this end's words go to.
///   - namespace: the network namespace to do it in, by the name that ip-netns(8) gives it.
///   - removesItself: whether the program's file was put here for this and is to go.
///   - logger: is told of each change of the NIC at level debug.
/// - Throws: `DevmemError` of kind `system` if the namespace cannot be entered. What fails later is
///   told to the near end.
public func runBenchFarEnd(
    input: Int32, output: Int32, namespace: String?, removesItself: Bool, logger: Logger
) throws(DevmemError) {
    // A terminal's Ctrl-C comes to both ends; the near end says what it means.
    signal(SIGINT, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
    let stop = StopHolder(try StopSignal([SIGTERM, SIGHUP, SIGQUIT]))
    try prepareFarEnd(namespace: namespace, removesItself: removesItself)
    let channel = BenchChannel(
        input: input, output: output, to: "the near end", stop: stop)
    do throws(DevmemError) {
        try BenchFarEnd(channel, stop, logger).run(
            interface: nil, nearAddress: nil, scope: 0, processors: [])
    } catch {
        // The near end has been told, or is gone and wants to know nothing.
        logger.debug("\(error)")
    }
}

/// A blocking socket, but one on which a peer that reads nothing is given up.
func makeBlocking(_ connection: borrowing Connection) throws(DevmemError) {
    let call = "talk to \(connection.peer)"
    let number = connection.rawValue
    try retrying(call) { cdm_fcntl(number, F_SETFL, 0) }
    try retrying(call) {
        withUnsafePointer(to: timeval(tv_sec: 25, tv_usec: 0)) {
            setsockopt(
                number, SOL_SOCKET, SO_SNDTIMEO, $0, socklen_t(MemoryLayout<timeval>.size))
        }
    }
    try connection.sendAtOnce()
}

/// The far end's part of one benchmark.
private struct BenchFarEnd {
    private let channel: BenchChannel
    private let stop: StopHolder
    private let logger: Logger

    init(_ channel: BenchChannel, _ stop: StopHolder, _ logger: Logger) {
        self.channel = channel
        self.stop = stop
        self.logger = logger
    }

    /// Does as the near end says.
    ///
    /// - Parameters:
    ///   - interface: the only NIC to use, if one is named.
    ///   - nearAddress: where the near end is; nil to believe what it says.
    ///   - scope: the interface that gives the near end's address its meaning.
    ///   - processors: what to pin threads to, if this end's user says so.
    /// - Throws: `DevmemError` as the benchmark fails; the near end has been told.
    func run(
        interface: String?, nearAddress: IPAddress?, scope: UInt32, processors: [Int]
    ) throws(DevmemError) {
        do throws(DevmemError) {
            try channel.greet()
            let message = try channel.receive(seconds: 60, "say what to do")
            guard case .plan(let plan, let text, let ports) = message else {
                throw channel.unexpected(message)
            }
            try plan.check()
            // An address that is only said might be anybody's.
            guard let address = nearAddress ?? IPAddress(text: text), !ports.isEmpty,
                ports.count <= plan.flows, !ports.contains(0)
            else {
                throw DevmemError(
                    .invalid, call: "do as the near end says", message: "no address to go to")
            }
            let near = ports.map { Endpoint(address: address, port: $0, scope: scope) }
            try carryOut(
                plan, near, interface, processors.isEmpty ? plan.farProcessors : processors)
        } catch {
            // If nobody listens any more there is nobody to tell.
            try? channel.tell(.failure(error.description))
            throw error
        }
    }

    private func carryOut(
        _ plan: BenchPlan, _ near: [Endpoint], _ name: String?, _ processors: [Int]
    ) throws(DevmemError) {
        let role = BenchRole.far(of: plan)
        let interface = try choose(name, leadingTo: near[0])
        let ground = try BenchGround(
            plan, role, on: interface, BenchGround.Choice(queues: .automatic(near.count)),
            flows: near.map { Self.flow(from: $0) }, logger: logger)
        var report: BenchEndReport?
        var refusal: DevmemError?
        do throws(DevmemError) {
            report = try measure(plan, role, near, ground, processors)
        } catch {
            refusal = error
        }
        do throws(DevmemError) {
            try ground.release()
        } catch {
            // Whoever looks after this host must know, also if the near end is gone.
            logger.error("\(error)")
            if report?.failure == nil { report?.failure = error.description }
        }
        guard var report else {
            throw refusal ?? DevmemError(.system, call: "run the benchmark")
        }
        for flow in report.flows { try channel.tell(.flow(flow)) }
        report.flows = []
        try channel.tell(.end(report))
    }

    private func choose(
        _ name: String?, leadingTo near: Endpoint
    ) throws(DevmemError) -> NetworkInterface {
        let leading = try NetworkInterface(leadingTo: near)
        guard let name, name != leading.name else { return leading }
        throw DevmemError(
            .invalid, call: "reach \(near.address) through \(name)",
            message: "the route leads through \(leading.name)")
    }

    /// What comes from a port that the near end listens at.
    private static func flow(from near: Endpoint) -> SteeringFlow {
        let address = near.address.unmapped
        var rule = FlowRule(isIPv6: address.isIPv6)
        rule.source = address.bytes
        rule.sourcePort = near.port
        return SteeringFlow(families: [[rule]])
    }

    private func measure(
        _ plan: BenchPlan, _ role: BenchRole, _ near: [Endpoint], _ ground: BenchGround,
        _ processors: [Int]
    ) throws(DevmemError) -> BenchEndReport {
        try channel.tell(.ready)
        let message = try channel.receive(seconds: 120, "be ready")
        guard message == .connect else { throw channel.unexpected(message) }
        var connections: [BenchConnection] = []
        for flow in 0..<plan.flows {
            let peer = near[BenchSchedule.port(of: flow, ports: near.count)]
            let connection = try Connection(to: peer, from: nil, pinnedTo: nil)
            try stop.wait(
                for: connection.rawValue, events: Int32(POLLOUT), milliseconds: 20_000,
                "connect to \(peer)")
            try connection.finishConnecting()
            try connection.tune(for: plan)
            if role.receives == .device && plan.flows > 1 {
                try connection.limitBuffers(to: plan.memory / UInt64(2 * plan.flows))
            }
            connections.append(BenchConnection(connection))
        }
        let crew = try BenchCrew(
            plan, role, connections, processors: processors, on: ground.interface,
            bound: ground.bound)
        do throws(DevmemError) {
            try awaitReady(crew, stop)
            try channel.tell(
                .connected(ports: connections.map { $0.connection.local?.port ?? 0 }))
            let message = try channel.receive(seconds: 120, "begin")
            guard message == .start else { throw channel.unexpected(message) }
        } catch {
            crew.giveUp()
            throw error
        }
        let session = BenchSession(
            crew, plan, over: channel, ground, needsOther: false, stop: stop)
        return try session.run { sample in
            // A near end that is gone shows in what comes from it.
            try? channel.tell(.interval(sample))
        }
    }
}

/// Waits until all threads of a crew are set up.
func awaitReady(_ crew: BenchCrew, _ stop: StopHolder) throws(DevmemError) {
    while try !crew.isReady() {
        try stop.wait(
            for: crew.event.rawValue, events: Int32(POLLIN), milliseconds: 60_000,
            "set up threads")
        crew.clearEvent()
    }
}

import Glibc
public import Logging
import SystemPackage

/// What the near end of a benchmark is to do.
public struct BenchRequest: Sendable {
    /// Where the far end is.
    public enum Far: Sendable {
        /// It is to be started there.
        case place(FarEndPlace)
        /// It serves already, at the first of these that answers.
        case serving([Endpoint])
    }

    /// The far end.
    public var far: Far
    /// The NIC; nil for the one that leads to the far end.
    public var interface: String?
    /// What both ends do.
    public var plan: BenchPlan
    /// Receive queues of this end for device memory.
    public var queues: QueueChoice
    /// What makes this end's dma-buf.
    public var provider: MemoryProvider
    /// This end's processors to pin threads to, one after another; none to pin nothing.
    public var processors: [Int]

    /// Makes a request from its parts.
    public init(
        far: Far, interface: String?, plan: BenchPlan, queues: QueueChoice,
        provider: MemoryProvider = .udmabuf, processors: [Int] = []
    ) {
        self.far = far
        self.interface = interface
        self.plan = plan
        self.queues = queues
        self.provider = provider
        self.processors = processors
    }
}

/// Measures TCP between this end and another.
///
/// - Parameters:
///   - request: what to measure.
///   - stop: signals that end it early, with a report so far.
///   - started: called when payload begins to flow, with the NIC's name and the far end.
///   - seen: called with what this end saw in each second.
///   - logger: is told of each change of the NIC at level debug.
/// - Returns: what was measured, also if a signal or a failure cut it short; `failure` tells.
/// - Throws: `DevmemError` if it could not begin; every setting is back then.
public func runBench(
    _ request: BenchRequest, stop: consuming StopSignal, started: (String, String) -> Void,
    seen: (BenchSample) -> Void, logger: Logger
) throws(DevmemError) -> BenchReport {
    try request.plan.check()
    // What is wrong at this end is told before the other hears of it.
    if let name = request.interface { _ = try NetworkInterface(named: name) }
    let holder = StopHolder(stop)
    switch request.far {
    case .place(let place):
        guard let name = request.interface else {
            throw DevmemError(
                .invalid, call: "choose an interface",
                message: "a far end that is to be started does not tell which",
                advice: "name it with --interface")
        }
        let interface = try NetworkInterface(named: name)
        guard let address = try interface.addresses.first(where: { !$0.isLinkLocal }) else {
            throw DevmemError(
                .invalid, call: "listen at \(name)", message: "it has no address",
                advice: "ip address add gives it one")
        }
        let process = try FarEndProcess(
            at: place, as: ["--bench"], endsWithin: 30_000, stop: holder)
        let number = process.channel.rawValue
        let channel = BenchChannel(
            input: number, output: number, to: "the far end, \(place)", stop: holder)
        do throws(DevmemError) {
            try channel.greet()
        } catch {
            process.removeFile()
            throw error
        }
        let near = BenchNearEnd(request, interface, Endpoint(address: address, port: 0), channel)
        let report = try near.run(
            "\(place)", holder, started: started, seen: seen, logger: logger)
        withExtendedLifetime(process) {}
        return report
    case .serving(let endpoints):
        let control = try connect(to: endpoints, holder)
        try makeBlocking(control)
        guard var local = control.local else {
            throw DevmemError(.system, call: "connect to \(control.peer)", message: "it is gone")
        }
        local.port = 0
        local.address = local.address.unmapped
        let interface = try choose(request.interface, local, control.peer)
        let channel = BenchChannel(
            input: control.rawValue, output: control.rawValue, to: "\(control.peer)",
            advice: "devmemtcp bench serve must run there, one benchmark at a time", stop: holder)
        try channel.greet()
        let report = try BenchNearEnd(request, interface, local, channel).run(
            "\(control.peer)", holder, started: started, seen: seen, logger: logger)
        return report
    }
}

private func connect(
    to endpoints: [Endpoint], _ stop: StopHolder
) throws(DevmemError) -> Connection {
    var refusal = DevmemError(.invalid, call: "connect", message: "no far end is named")
    for endpoint in endpoints {
        do throws(DevmemError) {
            let connection = try Connection(to: endpoint, from: nil, pinnedTo: nil)
            try stop.wait(
                for: connection.rawValue, events: Int32(POLLOUT), milliseconds: 20_000,
                "connect to \(endpoint)")
            try connection.finishConnecting()
            return connection
        } catch {
            refusal = error
        }
    }
    throw refusal.advising("devmemtcp bench serve must run there")
}

private func choose(
    _ name: String?, _ local: Endpoint, _ peer: Endpoint
) throws(DevmemError) -> NetworkInterface {
    let holder = try NetworkInterface(holding: local.address)
    guard let name, name != holder.name else { return holder }
    throw DevmemError(
        .invalid, call: "reach \(peer) through \(name)",
        message: "the route leads through \(holder.name)")
}

/// The near end's part of a benchmark, which all connections come to.
private struct BenchNearEnd {
    private let request: BenchRequest
    private let interface: NetworkInterface
    private let local: Endpoint
    private let channel: BenchChannel
    private var plan: BenchPlan { request.plan }
    private var role: BenchRole { .near(of: request.plan) }

    init(
        _ request: BenchRequest, _ interface: NetworkInterface, _ local: Endpoint,
        _ channel: BenchChannel
    ) {
        self.request = request
        self.interface = interface
        self.local = local
        self.channel = channel
    }

    func run(
        _ far: String, _ stop: StopHolder, started: (String, String) -> Void,
        seen: (BenchSample) -> Void, logger: Logger
    ) throws(DevmemError) -> BenchReport {
        // As many ports as queues, so that each queue has flows of its own.
        let wanted = role.receives == .device ? request.queues.count : 1
        var listeners: [OpenListener] = []
        for _ in 0..<min(wanted, plan.flows) {
            let open = OpenListener(try Listener(binding: local))
            if let segment = plan.segment { try open.listener.limitSegments(to: segment) }
            if role.receives == .device && plan.flows > 1 {
                try open.listener.limitBuffers(to: plan.memory / UInt64(2 * plan.flows))
            }
            listeners.append(open)
        }
        let ground = try BenchGround(
            plan, role, on: interface,
            BenchGround.Choice(queues: request.queues, provider: request.provider),
            flows: listeners.map { SteeringFlow(to: $0.listener.endpoint) }, logger: logger)
        var report: BenchReport?
        var refusal: DevmemError?
        do throws(DevmemError) {
            report = try measure(listeners, ground, far, stop, started: started, seen: seen)
        } catch {
            refusal = error
        }
        do throws(DevmemError) {
            try ground.release()
        } catch {
            if report?.failure == nil { report?.failure = error.description }
        }
        guard let report else {
            throw refusal ?? DevmemError(.system, call: "run the benchmark")
        }
        return report
    }

    private func measure(
        _ listeners: [OpenListener], _ ground: BenchGround, _ far: String, _ stop: StopHolder,
        started: (String, String) -> Void, seen: (BenchSample) -> Void
    ) throws(DevmemError) -> BenchReport {
        let ports = listeners.map { $0.listener.endpoint.port }
        try channel.tell(.plan(plan, address: local.address.description, ports: ports))
        let ready = try channel.receive(seconds: 120, "set itself up")
        guard ready == .ready else { throw channel.unexpected(ready) }
        for open in listeners { try open.listener.listen() }
        try channel.tell(.connect)
        let message = try channel.receive(seconds: 120, "connect")
        guard case .connected(let farPorts) = message, farPorts.count == plan.flows else {
            throw channel.unexpected(message)
        }
        let connections = try accept(farPorts, listeners, stop)
        let crew = try BenchCrew(
            plan, role, connections, processors: request.processors, on: interface,
            bound: ground.bound)
        do throws(DevmemError) {
            try awaitReady(crew, stop)
            try channel.tell(.start)
        } catch {
            crew.giveUp()
            throw error
        }
        started(interface.name, far)
        let session = BenchSession(
            crew, plan, over: channel, ground, needsOther: true, stop: stop)
        let report = try session.run(seen: seen)
        return BenchReport(plan, far: far, near: report, session)
    }

    /// Takes the far end's connections, by the ports that it says they come from; a stranger's is
    /// closed.
    private func accept(
        _ farPorts: [UInt16], _ listeners: [OpenListener], _ stop: StopHolder
    ) throws(DevmemError) -> [BenchConnection] {
        var connections: [BenchConnection] = []
        for (flow, port) in farPorts.enumerated() {
            let place = BenchSchedule.port(of: flow, ports: listeners.count)
            let open = listeners[place]
            while true {
                if let waiting = open.waiting.removeValue(forKey: port) {
                    try waiting.connection.tune(for: plan)
                    connections.append(waiting)
                    break
                }
                try stop.wait(
                    for: open.listener.rawValue, events: Int32(POLLIN), milliseconds: 20_000,
                    "wait for flow \(flow + 1) of the far end")
                if let connection = try open.listener.accept() {
                    open.waiting[connection.peer.port] = BenchConnection(connection)
                }
            }
        }
        return connections
    }
}

/// A socket that flows come to, and those that have come and are not yet asked for.
private final class OpenListener {
    let listener: Listener
    var waiting: [UInt16: BenchConnection] = [:]

    init(_ listener: consuming Listener) {
        self.listener = listener
    }
}

import Glibc
import Logging
import SystemPackage

/// The near end's part of a benchmark, which all connections come to.
struct BenchNearEnd {
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
            flows: try flows(to: listeners.map { $0.listener.endpoint }), logger: logger)
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
            var failure = report?.failure
            note(
                restoring: error, in: &failure,
                isShown: report != nil && report?.stoppedBy == nil, logger: logger)
            report?.failure = failure
        }
        guard let report else {
            throw refusal ?? DevmemError(.system, call: "run the benchmark")
        }
        return report
    }

    /// What comes to the ports, connection by connection where it is said whence each comes.
    private func flows(to ends: [Endpoint]) throws(DevmemError) -> [SteeringFlow] {
        guard let source = plan.source else { return ends.map { SteeringFlow(to: $0) } }
        var flows: [SteeringFlow] = []
        for flow in 0..<plan.flows {
            let end = ends[BenchSchedule.port(of: flow, ports: ends.count)]
            guard let from = source.endpoint(of: flow),
                from.address.unmapped.isIPv6 == end.address.unmapped.isIPv6
            else {
                throw DevmemError(
                    .invalid, call: "receive from \(source.address) at \(end.address)",
                    message: "one address is IPv4, the other IPv6")
            }
            flows.append(SteeringFlow(to: end, from: from.address, port: from.port))
        }
        return flows
    }

    private func measure(
        _ listeners: [OpenListener], _ ground: BenchGround, _ far: String, _ stop: StopHolder,
        started: (String, String) -> Void, seen: (BenchSample) -> Void
    ) throws(DevmemError) -> BenchReport {
        let ports = listeners.map { $0.listener.endpoint.port }
        try channel.tell(.plan(plan, address: local.address.description, ports: ports))
        let ready = try channel.receive(seconds: 120, "set itself up")
        guard ready == .ready else { throw channel.unexpected(ready) }
        for open in listeners { try open.listener.listen(backlog: Int32(clamping: plan.flows)) }
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
            crew.awaitEnd(milliseconds: 5000)
            throw error
        }
        started(interface.name, far)
        let session = BenchSession(
            crew, plan, over: channel, ground, needsOther: true, stop: stop)
        let report = try session.run(seen: seen)
        return BenchReport(
            plan, far: far, near: report, session, allowsHostMemory: request.allowsHostMemory)
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

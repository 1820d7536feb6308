import DevmemCore
import Glibc
import Logging
import SystemPackage

/// The remote side of a benchmark. Its peer is the host that runs `bench run`.
struct BenchRemoteSide {
    private let channel: BenchChannel
    private let stop: SharedStopSignal
    private let logger: Logger

    init(_ channel: BenchChannel, _ stop: SharedStopSignal, _ logger: Logger) {
        self.channel = channel
        self.stop = stop
        self.logger = logger
    }

    /// Runs a benchmark as the peer requests.
    ///
    /// - Parameters:
    ///   - interface: the only NIC to use; nil for any.
    ///   - nearAddress: the peer's address; nil to use the address that it sends.
    ///   - scope: the scope of the peer's address.
    ///   - processors: the CPUs that threads run on, if this side's user chooses them.
    ///   - keepsSteered: whether to restore steering that the NIC loses meanwhile.
    /// - Throws: `DevmemError` if the benchmark fails; the peer has been notified.
    func run(
        interface: String?, nearAddress: IPAddress?, scope: UInt32,
        processors: ProcessorChoice?, keepsSteered: Bool = false
    ) throws(DevmemError) {
        do throws(DevmemError) {
            try channel.greet()
            let message = try channel.receive(seconds: 60, "say what to do")
            guard case .plan(let plan, let text, let ports) = message else {
                throw channel.unexpected(message)
            }
            try plan.check()
            try requireDescriptors(for: plan, ports: 0)
            // Prefer the connection's address: the one in the message could be anyone's.
            guard let address = nearAddress ?? IPAddress(text: text), !ports.isEmpty,
                ports.count <= plan.flows, !ports.contains(0)
            else {
                throw DevmemError(
                    .invalid, call: "connect to the peer", message: "it sent no usable address")
            }
            let near = ports.map { Endpoint(address: address, port: $0, scope: scope) }
            try carryOut(
                plan, near, interface, processors ?? plan.remoteChoice, keepsSteered)
        } catch {
            // If the peer is gone, the failure cannot be sent.
            try? channel.tell(.failure(error.description))
            throw error
        }
    }

    private func carryOut(
        _ plan: BenchPlan, _ near: [Endpoint], _ name: String?, _ processors: ProcessorChoice,
        _ keepsSteered: Bool
    ) throws(DevmemError) {
        let role = BenchRole.remote(of: plan)
        let interface = try choose(name, leadingTo: near[0])
        var placement = try ThreadPlacement(processors, near: interface)
        defer { placement.restore() }
        let nic = try BenchNIC(
            plan, role, on: interface,
            BenchNIC.Choice(queues: .automatic(near.count), keepsSteered: keepsSteered),
            flows: Self.flows(of: plan, from: near), logger: logger)
        placement.avoidInterrupts(ofQueues: nic.queues, on: interface)
        var report: BenchEndReport?
        var refusal: DevmemError?
        do throws(DevmemError) {
            report = try measure(plan, role, near, nic, placement)
        } catch {
            refusal = error
        }
        // Log a failed restoration on this host too, because the peer may be gone.
        var failure = report?.failure
        nic.release(reportingIn: &failure, isShown: false)
        report?.failure = failure
        guard let report else {
            throw refusal ?? DevmemError(.system, call: "run the benchmark")
        }
        try channel.tell(report.messages)
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

    /// Returns the flows to steer: from the ports that the peer listens on, to known ports of this
    /// side if the plan names them.
    static func flows(of plan: BenchPlan, from near: [Endpoint]) -> [SteeringFlow] {
        guard let source = plan.source else { return near.map { flow(from: $0) } }
        return (0..<plan.flows).map { number in
            let peer = near[BenchSchedule.port(of: number, ports: near.count)]
            let wide = flow(from: peer)
            guard let local = source.endpoint(of: number),
                local.address.unmapped.isIPv6 == peer.address.unmapped.isIPv6
            else { return wide }
            let whole = wide.families.map { rules in
                rules.map { rule in
                    var whole = rule
                    whole.destination = local.address.unmapped.bytes
                    whole.destinationPort = local.port
                    return whole
                } + rules
            }
            return SteeringFlow(families: whole)
        }
    }

    /// Returns a flow from a port that the peer listens on.
    private static func flow(from near: Endpoint) -> SteeringFlow {
        let address = near.address.unmapped
        var rule = FlowRule(isIPv6: address.isIPv6)
        rule.source = address.bytes
        rule.sourcePort = near.port
        return SteeringFlow(families: [[rule]])
    }

    private func measure(
        _ plan: BenchPlan, _ role: BenchRole, _ near: [Endpoint], _ nic: BenchNIC,
        _ placement: ThreadPlacement
    ) throws(DevmemError) -> BenchEndReport {
        try channel.tell(.ready)
        let message = try channel.receive(seconds: 120, "be ready")
        guard message == .connect else { throw channel.unexpected(message) }
        var connections: [BenchConnection] = []
        var notice: String?
        for flow in 0..<plan.flows {
            let peer = near[BenchSchedule.port(of: flow, ports: near.count)]
            let connection = try connect(to: peer, from: plan.source?.endpoint(of: flow))
            try connection.tune(for: plan)
            if role.receives != nil, let share = plan.receiveShare {
                notice = try connection.limitBuffers(to: share).shortfall
            }
            connections.append(BenchConnection(connection))
        }
        if let notice { logger.notice("\(notice)") }
        let workers = try WorkerPool(plan, role, connections, placement, on: nic)
        do throws(DevmemError) {
            try awaitReady(workers, stop)
            try channel.tell(.connected(from: try Self.sources(of: connections)))
            let message = try channel.receive(seconds: 120, "begin")
            guard message == .start else { throw channel.unexpected(message) }
        } catch {
            workers.giveUp()
            workers.awaitEnd(milliseconds: 5000)
            throw error
        }
        let session = BenchSession(
            workers, over: channel, nic, needsOther: false, stop: stop)
        return try session.run { sample in
            // A lost peer is noticed when its channel closes.
            try? channel.tell(.interval(sample))
        }
    }
}

extension BenchRemoteSide {
    /// Returns the source addresses of connections, for the peer to recognize them.
    static func sources(
        of connections: [BenchConnection]
    ) throws(DevmemError) -> [BenchPlan.Source] {
        var sources: [BenchPlan.Source] = []
        for shared in connections {
            guard let local = shared.connection.local else {
                throw DevmemError(
                    .system,
                    call: "ask where the connection to \(shared.connection.peer) comes from",
                    errno: shared.connection.pendingError(), message: "the kernel does not tell")
            }
            sources.append(BenchPlan.Source(local))
        }
        return sources
    }

    /// Connects to a port that the peer listens on. If that fails, a firewall is the most likely
    /// cause.
    private func connect(
        to peer: Endpoint, from local: Endpoint?
    ) throws(DevmemError) -> Connection {
        do throws(DevmemError) {
            return try stop.connect(to: peer, from: local, milliseconds: 20_000)
        } catch {
            var failure = error
            switch error.errno {
            case .timedOut, .connectionRefused, .noRouteToHost:
                failure.advice =
                    "a firewall must let connections in there; \(.port) chooses the port"
            default: break
            }
            throw failure
        }
    }
}

/// Waits until all threads of a pool are set up.
func awaitReady(_ workers: WorkerPool, _ stop: SharedStopSignal) throws(DevmemError) {
    let deadline = Deadline.after(.seconds(60))
    while try !workers.isReady() {
        try stop.wait(
            for: workers.event.rawValue, events: Int32(POLLIN), until: deadline, "set up threads")
        workers.clearEvent()
    }
}

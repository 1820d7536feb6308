import DevmemCore
import Glibc
import Logging
import SystemPackage

/// The local side of a benchmark, which accepts all connections.
struct BenchLocalSide {
    private let request: BenchRequest
    private let interface: NetworkInterface
    private let local: Endpoint
    private let channel: BenchChannel
    private let stop: SharedStopSignal
    private var plan: BenchPlan { request.plan }
    private var role: BenchRole { .local(of: request.plan) }

    init(
        _ request: BenchRequest, _ interface: NetworkInterface, _ local: Endpoint,
        _ channel: BenchChannel, _ stop: SharedStopSignal
    ) {
        self.request = request
        self.interface = interface
        self.local = local
        self.channel = channel
        self.stop = stop
    }

    func run(
        _ far: String, started: (String, String) -> Void, seen: (BenchSample) -> Void,
        logger: Logger
    ) throws(DevmemError) -> BenchReport {
        var listeners = try openListeners(logger)
        var placement = try ThreadPlacement(request.processors, near: interface)
        defer { placement.restore() }
        let nic = try BenchNIC(
            plan, role, on: interface,
            BenchNIC.Choice(queues: request.queues, provider: request.provider),
            flows: try flows(to: listeners.map { $0.listener.endpoint }), logger: logger)
        placement.avoidInterrupts(ofQueues: nic.queues, on: interface)
        var report: BenchReport?
        var refusal: DevmemError?
        do throws(DevmemError) {
            report = try measure(&listeners, nic, placement, far, started: started, seen: seen)
        } catch {
            refusal = error
        }
        var failure = report?.failure
        nic.release(reportingIn: &failure, isShown: report != nil && report?.stoppedBy == nil)
        report?.failure = failure
        guard let report else {
            throw refusal ?? DevmemError(.system, call: "run the benchmark")
        }
        return report
    }

    private func openListeners(_ logger: Logger) throws(DevmemError) -> [OpenListener] {
        var listeners: [OpenListener] = []
        var notice: String?
        for index in 0..<request.portCount {
            var place = local
            place.port = request.port.map { $0 &+ UInt16(truncatingIfNeeded: index) } ?? 0
            let open = OpenListener(try Listener(binding: place), logger)
            if let segment = plan.segment { try open.listener.limitSegments(to: segment) }
            if role.receives != nil, let share = plan.receiveShare {
                notice = try open.listener.limitBuffers(to: share).shortfall
            }
            listeners.append(open)
        }
        if let notice { logger.notice("\(notice)") }
        return listeners
    }

    /// Returns the flows to steer: to the listening ports, one per connection if the plan names
    /// their sources.
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
        _ listeners: inout [OpenListener], _ nic: BenchNIC, _ placement: ThreadPlacement,
        _ far: String,
        started: (String, String) -> Void, seen: (BenchSample) -> Void
    ) throws(DevmemError) -> BenchReport {
        let ports = listeners.map { $0.listener.endpoint.port }
        try channel.tell(.plan(plan, address: local.address.description, ports: ports))
        let ready = try channel.receive(seconds: 120, "set itself up")
        guard ready == .ready else { throw channel.unexpected(ready) }
        for open in listeners { try open.listener.listen(backlog: Int32(clamping: plan.flows)) }
        try channel.tell(.connect)
        // Accept while waiting: connections from other hosts could otherwise fill the backlog.
        let open = listeners
        let message = try channel.receive(
            seconds: 120, "connect", watching: open.map { $0.listener.rawValue }
        ) { () throws(DevmemError) in
            let most = plan.flows + OpenListener.maximumForeign
            for one in open { try one.acceptPending(most: most) }
        }
        guard case .connected(let ends) = message, ends.count == plan.flows else {
            throw channel.unexpected(message)
        }
        let connections = try accept(ends, listeners)
        // Close the listeners: payload from other hosts would occupy the NIC's memory during the
        // measurement.
        listeners = []
        let workers = try WorkerPool(plan, role, connections, placement, on: nic)
        do throws(DevmemError) {
            try awaitReady(workers, stop)
            try channel.tell(.start)
        } catch {
            workers.giveUp()
            workers.awaitEnd(milliseconds: 5000)
            throw error
        }
        started(interface.name, far)
        let session = BenchSession(
            workers, over: channel, nic, needsOther: true, stop: stop)
        let report = try session.run(seen: seen)
        return BenchReport(
            plan, far: far, near: report, session, allowsHostMemory: request.allowsHostMemory)
    }

    /// Accepts the connections that the peer announced by source address; others are closed.
    private func accept(
        _ ends: [BenchPlan.Source], _ listeners: [OpenListener]
    ) throws(DevmemError) -> [BenchConnection] {
        let arrivals = try AnnouncedSources(ends, ports: listeners.count)
        var connections: [BenchConnection] = []
        let deadline = Deadline.after(.seconds(20))
        for (flow, peer) in arrivals.peers.enumerated() {
            let port = BenchSchedule.port(of: flow, ports: listeners.count)
            let connection = try listeners[port].take(
                peer, of: arrivals.peersOfPorts[port], flow: flow + 1, stop, until: deadline)
            try connection.connection.tune(for: plan)
            connections.append(connection)
        }
        return connections
    }
}

/// The source addresses of the peer's connections, as it announces them. Pure.
struct AnnouncedSources: Equatable {
    /// The sources per flow.
    let peers: [Endpoint]
    /// The sources per listening port. The kernel may assign one source port to connections to
    /// different ports.
    let peersOfPorts: [Set<Endpoint>]

    /// - Parameters:
    ///   - ends: the announced sources per flow.
    ///   - ports: the number of listening ports.
    /// - Throws: `DevmemError` of kind `malformed` if two connections to one port have the same
    ///   source, or a source is invalid.
    init(_ ends: [BenchPlan.Source], ports: Int) throws(DevmemError) {
        peers = ends.compactMap(\.peer)
        var own = [Set<Endpoint>](repeating: [], count: max(1, ports))
        for (flow, peer) in peers.enumerated() {
            own[BenchSchedule.port(of: flow, ports: own.count)].insert(peer)
        }
        peersOfPorts = own
        let count = own.reduce(0) { $0 + $1.count }
        guard count == ends.count else {
            throw DevmemError(
                .malformed, call: "accept the peer's connections",
                message: "it reports \(counted(count, "connection")) for "
                    + counted(ends.count, "flow"))
        }
    }
}

/// A listening socket with its accepted connections that no flow has claimed yet.
private final class OpenListener {
    let listener: Listener
    private let logger: Logger
    private var waiting: [Endpoint: BenchConnection] = [:]
    private var foreign: [Endpoint] = []

    /// The maximum number of connections from other hosts to keep until the peer announces its own.
    static let maximumForeign = 256

    init(_ listener: consuming Listener, _ logger: Logger) {
        self.listener = listener
        self.logger = logger
    }

    /// Accepts pending connections; beyond `most` waiting ones, further ones are closed.
    func acceptPending(most: Int) throws(DevmemError) {
        for _ in 0..<most {
            guard let accepted = try listener.accept() else { return }
            let from = Endpoint(address: accepted.peer.address.unmapped, port: accepted.peer.port)
            if waiting.count < most {
                waiting[from] = BenchConnection(accepted)
            } else {
                noteForeign(from)
            }
        }
    }

    /// Returns the connection from one of the peer's sockets, and waits for it if necessary.
    func take(
        _ peer: Endpoint, of all: Set<Endpoint>, flow: Int, _ stop: SharedStopSignal,
        until deadline: Deadline
    ) throws(DevmemError) -> BenchConnection {
        for from in waiting.keys where !all.contains(from) {
            waiting[from] = nil
            noteForeign(from)
        }
        while true {
            if let connection = waiting.removeValue(forKey: peer) { return connection }
            let accepted: Connection
            do throws(DevmemError) {
                accepted = try stop.accept(
                    on: listener, until: deadline,
                    "wait for flow \(flow) of the peer from \(peer)")
            } catch {
                guard let source = foreign.first else { throw error }
                throw error.advising(
                    "a connection came from \(source), which the peer did not announce: another "
                        + "program, or its address was translated on the way")
            }
            let from = Endpoint(address: accepted.peer.address.unmapped, port: accepted.peer.port)
            if all.contains(from) {
                // A second connection from the same source means that the earlier one has ended.
                waiting[from] = BenchConnection(accepted)
            } else {
                noteForeign(from)
            }
        }
    }

    private func noteForeign(_ source: Endpoint) {
        // Repeated connections must not flood the log.
        guard foreign.count < 16 else { return }
        foreign.append(source)
        logger.notice("closed a connection from \(source): it is not the peer's")
    }
}

extension BenchPlan.Source {
    /// The source as an endpoint without a scope; nil if the address is invalid.
    fileprivate var peer: Endpoint? {
        IPAddress(text: address).map { Endpoint(address: $0.unmapped, port: port) }
    }
}

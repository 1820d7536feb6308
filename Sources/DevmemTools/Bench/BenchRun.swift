package import DevmemCore
import Glibc
package import Logging
import SystemPackage

/// The parameters of a benchmark on the local side.
package struct BenchRequest: Sendable {
    /// The choice of the remote side.
    package enum RemoteSide: Sendable {
        /// Start the remote side in this place.
        case place(RemotePlace)
        /// Connect to `bench serve`, at the first endpoint that answers.
        case serving([Endpoint])
    }

    /// The remote side.
    package var remoteSide: RemoteSide
    /// The NIC; nil for the one on the route to the remote side.
    package var interface: String?
    /// The plan.
    package var plan: BenchPlan
    /// The local receive queues for device memory.
    package var queues: QueueChoice
    /// The provider of the local dma-buf.
    package var provider: MemoryProvider
    /// The local port of all connections, or with several receive queues the first of consecutive
    /// ports; nil lets the kernel choose.
    package var port: UInt16?
    /// The local CPUs that the threads run on.
    package var processors: ProcessorChoice
    /// Whether it succeeds even if no payload arrives in device memory.
    package var allowsHostMemory: Bool

    /// Creates a request from its values.
    package init(
        remoteSide: RemoteSide, interface: String?, plan: BenchPlan, queues: QueueChoice,
        provider: MemoryProvider = .automatic, port: UInt16? = nil,
        processors: ProcessorChoice = .near, allowsHostMemory: Bool = false
    ) {
        self.remoteSide = remoteSide
        self.interface = interface
        self.plan = plan
        self.queues = queues
        self.provider = provider
        self.port = port
        self.processors = processors
        self.allowsHostMemory = allowsHostMemory
    }
}

extension BenchRequest {
    /// The number of listening ports: one per receive queue, so that each queue has its own flows.
    var portCount: Int {
        let receives = BenchRole.local(of: plan).receives
        return min(receives == .device ? max(queues.count, 1) : 1, plan.flows)
    }

    /// Checks the request.
    ///
    /// - Throws: `DevmemError` of kind `invalid` that says what is wrong.
    func check() throws(DevmemError) {
        try plan.check()
        guard let port, port == 0 || Int(port) + portCount - 1 > 65535 else { return }
        throw DevmemError(
            .invalid, call: "listen on \(counted(portCount, "port")) from \(port) on",
            message: "ports are from 1 to 65535")
    }
}

/// Measures TCP between this host and a remote side.
///
/// - Parameters:
///   - request: the parameters.
///   - stop: signals that end it early, with a partial report.
///   - started: called when payload begins to flow, with the NIC's name and the remote side.
///   - seen: called with the local sample of each second.
///   - logger: logs each change of the NIC at level debug.
/// - Returns: the report. If a signal or a failure ended the benchmark early, the report is partial
///   and `stoppedBy` or `failure` is set.
/// - Throws: `DevmemError` if it cannot start; every setting is restored.
package func runBench(
    _ request: BenchRequest, stop: consuming StopSignal, started: (String, String) -> Void,
    seen: (BenchSample) -> Void, logger: Logger
) throws(DevmemError) -> BenchReport {
    let time = timeStamp()
    var report = try runBench(
        request, until: SharedStopSignal(stop), started: started, seen: seen, logger: logger)
    report.time = time
    return report
}

private func runBench(
    _ request: BenchRequest, until holder: SharedStopSignal, started: (String, String) -> Void,
    seen: (BenchSample) -> Void, logger: Logger
) throws(DevmemError) -> BenchReport {
    try request.check()
    try requireDescriptors(for: request.plan, ports: request.portCount)
    // Report local problems before the remote side is contacted.
    if let name = request.interface {
        let role = BenchRole.local(of: request.plan)
        let interface = try NetworkInterface(named: name)
        if role.receives == .device || role.sends == .device {
            try interface.requireNIC("measure through")
        }
    }
    switch request.remoteSide {
    case .place(let place):
        guard let name = request.interface else {
            throw DevmemError(
                .invalid, call: "choose an interface",
                message: "no interface is given, and a peer that is started does not choose one",
                advice: "choose it with \(.interface)")
        }
        let interface = try NetworkInterface(named: name)
        guard let address = try interface.addresses.first(where: { !$0.isLinkLocal }) else {
            throw DevmemError(
                .invalid, call: "listen at \(name)", message: "it has no address",
                advice: "ip address add gives it one")
        }
        let process = try RemoteProcess(
            at: place, as: ["--bench"], endsWithin: 30_000, stop: holder)
        let channel: BenchChannel = try process.greet()
        let localSide = BenchLocalSide(
            request, interface, Endpoint(address: address, port: 0), channel, holder)
        let report = try localSide.run(
            "\(place)", started: started, seen: seen, logger: logger)
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
            advice: "\(AdvisedCommand(.serveBench)) must run there, one benchmark at a time",
            stop: holder)
        try channel.greet()
        let report = try BenchLocalSide(request, interface, local, channel, holder).run(
            "\(control.peer)", started: started, seen: seen, logger: logger)
        return report
    }
}

private func connect(
    to endpoints: [Endpoint], _ stop: SharedStopSignal
) throws(DevmemError) -> Connection {
    var refusal = DevmemError(.invalid, call: "connect", message: "no peer is given")
    for endpoint in endpoints {
        do throws(DevmemError) {
            return try stop.connect(to: endpoint, milliseconds: 20_000)
        } catch {
            refusal = error
        }
    }
    throw refusal.advising("\(AdvisedCommand(.serveBench)) must run there")
}

private func choose(
    _ name: String?, _ local: Endpoint, _ peer: Endpoint
) throws(DevmemError) -> NetworkInterface {
    // The local address may belong to the loopback interface, so the NIC is found by the route.
    let holder = try NetworkInterface(leadingTo: peer, from: local.address)
    guard let name, name != holder.name else { return holder }
    throw DevmemError(
        .invalid, call: "reach \(peer) through \(name)",
        message: "the route leads through \(holder.name)")
}

package import DevmemCore
import Glibc
package import Logging
import SystemPackage

/// What the near end of a benchmark is to do.
package struct BenchRequest: Sendable {
    /// Where the far end is.
    package enum Far: Sendable {
        /// It is to be started there.
        case place(FarEndPlace)
        /// It serves already, at the first of these that answers.
        case serving([Endpoint])
    }

    /// The far end.
    package var far: Far
    /// The NIC; nil for the one that leads to the far end.
    package var interface: String?
    /// What both ends do.
    package var plan: BenchPlan
    /// Receive queues of this end for device memory.
    package var queues: QueueChoice
    /// What makes this end's dma-buf.
    package var provider: MemoryProvider
    /// This end's port that all connections come to, the first of several if several queues receive;
    /// nil for ports of the kernel's choice.
    package var port: UInt16?
    /// This end's processors to pin threads to, one after another; none to pin nothing.
    package var processors: [Int]
    /// Whether it is no failure if no payload comes in device memory where it should.
    package var allowsHostMemory: Bool

    /// Makes a request from its parts.
    package init(
        far: Far, interface: String?, plan: BenchPlan, queues: QueueChoice,
        provider: MemoryProvider = .automatic, port: UInt16? = nil, processors: [Int] = [],
        allowsHostMemory: Bool = false
    ) {
        self.far = far
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
    /// How many ports of this end connections come to: as many as queues that receive, so that each
    /// queue has flows of its own.
    var portCount: Int {
        let receives = BenchRole.near(of: plan).receives
        return min(receives == .device ? max(queues.count, 1) : 1, plan.flows)
    }

    /// Refuses what makes no sense.
    ///
    /// - Throws: `DevmemError` of kind `invalid` that says what is wrong.
    func check() throws(DevmemError) {
        try plan.check()
        guard let port, port == 0 || Int(port) + portCount - 1 > 65535 else { return }
        throw DevmemError(
            .invalid, call: "listen on \(portCount) ports from \(port) on",
            message: "ports are from 1 to 65535")
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
package func runBench(
    _ request: BenchRequest, stop: consuming StopSignal, started: (String, String) -> Void,
    seen: (BenchSample) -> Void, logger: Logger
) throws(DevmemError) -> BenchReport {
    try request.check()
    try requireDescriptors(for: request.plan, ports: request.portCount)
    // What is wrong at this end is told before the other hears of it.
    if let name = request.interface {
        let role = BenchRole.near(of: request.plan)
        let interface = try NetworkInterface(named: name)
        if role.receives == .device || role.sends == .device {
            try interface.requireNIC("measure through")
        }
    }
    let holder = SharedStopSignal(stop)
    switch request.far {
    case .place(let place):
        guard let name = request.interface else {
            throw DevmemError(
                .invalid, call: "choose an interface",
                message: "a remote end that is to be started does not tell which",
                advice: "choose it with \(.interface)")
        }
        let interface = try NetworkInterface(named: name)
        guard let address = try interface.addresses.first(where: { !$0.isLinkLocal }) else {
            throw DevmemError(
                .invalid, call: "listen at \(name)", message: "it has no address",
                advice: "ip address add gives it one")
        }
        let process = try FarEndProcess(
            at: place, as: ["--bench"], endsWithin: 30_000, stop: holder)
        let channel: BenchChannel = try process.greet()
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
            advice: "\(AdvisedCommand(.serveBench)) must run there, one benchmark at a time",
            stop: holder)
        try channel.greet()
        let report = try BenchNearEnd(request, interface, local, channel).run(
            "\(control.peer)", holder, started: started, seen: seen, logger: logger)
        return report
    }
}

private func connect(
    to endpoints: [Endpoint], _ stop: SharedStopSignal
) throws(DevmemError) -> Connection {
    var refusal = DevmemError(.invalid, call: "connect", message: "no remote end is named")
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
    // The address may be the loopback interface's; the way there is the way back.
    let holder = try NetworkInterface(leadingTo: peer, from: local.address)
    guard let name, name != holder.name else { return holder }
    throw DevmemError(
        .invalid, call: "reach \(peer) through \(name)",
        message: "the route leads through \(holder.name)")
}

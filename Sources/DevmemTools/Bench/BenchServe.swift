package import DevmemCore
import CDevmem
import Glibc
package import Logging
import SystemPackage

/// What the far end of a benchmark is told by its own user.
package struct BenchServeRequest: Sendable {
    /// Where the near end comes to: the addresses that a name stands for, at one port.
    package var listen: [Endpoint]
    /// The only NIC to be used; nil for the one that leads to the near end.
    package var interface: String?
    /// The only addresses that may come; none for any.
    package var from: [IPAddress]
    /// Processors to pin threads to, one after another; none to do as the near end says.
    package var processors: [Int]
    /// Whether steering that the NIC loses during a benchmark is set again.
    package var keepsSteered: Bool

    /// Makes a request from its parts.
    package init(
        listen: [Endpoint], interface: String?, from: [IPAddress], processors: [Int],
        keepsSteered: Bool = false
    ) {
        self.listen = listen
        self.interface = interface
        self.from = from
        self.processors = processors
        self.keepsSteered = keepsSteered
    }
}

/// Is the far end of benchmarks, one after another, until a signal comes.
///
/// - Parameters:
///   - request: what to do.
///   - stop: signals that end it in good order.
///   - listening: called once it listens, with each address.
///   - logger: is told of each benchmark, and of what went wrong in it.
/// - Returns: the signal.
/// - Throws: `DevmemError` if it cannot listen.
package func serveBench(
    _ request: BenchServeRequest, stop: consuming StopSignal, listening: (Endpoint) -> Void,
    logger: Logger
) throws(DevmemError) -> Int32 {
    if let name = request.interface { _ = try NetworkInterface(named: name) }
    let listeners = try ListenerGroup(binding: request.listen) { logger.notice("\($0)") }
    try listeners.listen(backlog: 64)
    for endpoint in listeners.endpoints { listening(endpoint) }
    let holder = SharedStopSignal(stop)
    var shortage = ExhaustionLog(logger)
    while true {
        if let signal = holder.pending() { return signal }
        let wait = try holder.signal.wait(for: listeners.rawValue, events: Int32(POLLIN))
        if case .stopped(let signal) = wait { return signal }
        let arrived = try listeners.accept(
            short: { shortage.tell($0) }, lost: { logger.warning("\($0)") })
        guard let connection = arrived else { continue }
        let peer = connection.peer.address.unmapped
        guard request.from.isEmpty || request.from.contains(where: { $0.unmapped == peer }) else {
            logger.notice("refused \(connection.peer), which is not allowed to connect")
            continue
        }
        logger.notice("benchmark with \(connection.peer)")
        let channel = BenchChannel(
            input: connection.rawValue, output: connection.rawValue, to: "\(connection.peer)",
            stop: holder)
        do throws(DevmemError) {
            try makeBlocking(connection)
            try BenchFarEnd(channel, holder, logger).run(
                interface: request.interface, nearAddress: peer, scope: connection.peer.scope,
                processors: request.processors, keepsSteered: request.keepsSteered)
            logger.notice("benchmark with \(connection.peer) has ended")
        } catch {
            logger.error("\(error)")
        }
    }
}

/// Runs the remote side of a benchmark over standard input and output until end of file.
///
/// - Parameters:
///   - input: the descriptor that the near end's words come from.
///   - output: the descriptor that this end's words go to.
///   - namespace: the network namespace to do it in, by the name that ip-netns(8) gives it.
///   - removesItself: whether the program's file was put here for this and is to go.
///   - logger: is told of each change of the NIC at level debug.
/// - Throws: `DevmemError` of kind `system` if the namespace cannot be entered. What fails later is
///   told to the near end.
package func runBenchFarEnd(
    input: Int32, output: Int32, namespace: String?, removesItself: Bool, logger: Logger
) throws(DevmemError) {
    raiseDescriptorLimit()
    // A terminal's Ctrl-C comes to both ends; the near end says what it means.
    signal(SIGINT, SIG_IGN)
    let stop = SharedStopSignal(try StopSignal.ofUser())
    try prepareFarEnd(namespace: namespace, removesItself: removesItself)
    let channel = BenchChannel(
        input: input, output: output, to: "the peer", stop: stop)
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
    try connection.disableNagle()
}

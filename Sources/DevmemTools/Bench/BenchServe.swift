package import DevmemCore
import CDevmem
import Glibc
package import Logging
import SystemPackage

/// The choices of the user of `bench serve`.
package struct BenchServeRequest: Sendable {
    /// The endpoints to listen on: all addresses of a name, at one port.
    package var listen: [Endpoint]
    /// The only NIC to use; nil for the one on the route to the peer.
    package var interface: String?
    /// The only addresses that may connect; none allows any.
    package var from: [IPAddress]
    /// The CPUs that the threads run on; nil to use the peer's choice, or those near the NIC.
    package var processors: ProcessorChoice?
    /// Whether to restore steering that the NIC loses during a benchmark.
    package var keepsSteered: Bool

    /// Creates a request from its values.
    package init(
        listen: [Endpoint], interface: String?, from: [IPAddress],
        processors: ProcessorChoice? = nil,
        keepsSteered: Bool = false
    ) {
        self.listen = listen
        self.interface = interface
        self.from = from
        self.processors = processors
        self.keepsSteered = keepsSteered
    }
}

/// Serves as the remote side of benchmarks, one after another, until a signal arrives.
///
/// - Parameters:
///   - request: the choices of the user.
///   - stop: signals that end it, after settings are restored.
///   - listening: called with each endpoint once it listens.
///   - logger: logs each benchmark and its failure.
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
            try BenchRemoteSide(channel, holder, logger).run(
                interface: request.interface, nearAddress: peer, scope: connection.peer.scope,
                processors: request.processors, keepsSteered: request.keepsSteered)
            logger.notice("benchmark with \(connection.peer) has ended")
        } catch {
            logger.error("\(error)")
        }
    }
}

/// Runs the remote side of a benchmark over a pair of descriptors until end of file.
///
/// - Parameters:
///   - input: the descriptor to read messages from.
///   - output: the descriptor to write messages to.
///   - namespace: the network namespace to run in, as named for ip-netns(8).
///   - removesItself: whether to delete this program's file, which was copied here for one run.
///   - logger: logs each change of the NIC at level debug.
/// - Throws: `DevmemError` of kind `system` if the namespace cannot be entered. Later failures are
///   reported to the peer.
package func runBenchRemoteSide(
    input: Int32, output: Int32, namespace: String?, removesItself: Bool, logger: Logger
) throws(DevmemError) {
    raiseDescriptorLimit()
    // Ctrl-C on a terminal reaches both processes; the peer decides what happens.
    signal(SIGINT, SIG_IGN)
    let stop = SharedStopSignal(try StopSignal.ofUser())
    try prepareRemoteSide(namespace: namespace, removesItself: removesItself)
    let channel = BenchChannel(
        input: input, output: output, to: "the peer", stop: stop)
    do throws(DevmemError) {
        try BenchRemoteSide(channel, stop, logger).run(
            interface: nil, nearAddress: nil, scope: 0, processors: nil)
    } catch {
        // The peer has been notified, or is gone.
        logger.debug("\(error)")
    }
}

/// Makes a socket blocking, with a timeout for a peer that does not read.
func makeBlocking(_ connection: borrowing Connection) throws(DevmemError) {
    let call = "talk to \(connection.peer)"
    let number = connection.rawValue
    try retrying(call) { cdm_fcntl(number, F_SETFL, 0) }
    try setSendTimeout(number, milliseconds: 25_000, call)
    try connection.disableNagle()
}

package import DevmemCore
package import Logging

/// The parameters of a validation.
package struct ValidationRequest: Sendable {
    /// The NIC.
    package var interface: String
    /// The remote side; nil skips the cases that need one.
    package var peer: PeerChoice?
    /// Addresses of the NIC to use, at most one per family; others are chosen automatically.
    package var local: [IPAddress]
    /// Source addresses for the remote side, at most one per family.
    package var remote: [IPAddress]
    /// The cases to run.
    package var cases: [ValidationCase]
    /// Where the memory comes from.
    package var provider: MemoryProvider

    /// Creates a request from its values.
    package init(
        interface: String, peer: PeerChoice?, local: [IPAddress] = [],
        remote: [IPAddress] = [], cases: [ValidationCase],
        provider: MemoryProvider = .automatic
    ) {
        self.interface = interface
        self.peer = peer
        self.local = local
        self.remote = remote
        self.cases = cases
        self.provider = provider
    }
}

/// Tests device memory TCP on a NIC, its driver and the kernel. Every setting is restored before it
/// returns; if the process dies, the steering journal allows that later.
///
/// - Parameters:
///   - request: the parameters.
///   - stop: signals that end it, between cases or while a case waits.
///   - finished: called with each result.
///   - logger: logs each change of the NIC at level debug.
/// - Returns: the report.
/// - Throws: `DevmemError` if it cannot start: the interface does not exist, steering is applied to
///   it permanently, or the remote side cannot be started or cannot reach the NIC. If the interface
///   is not a NIC, or the kernel does not support device memory TCP, every case is skipped instead.
package func validate(
    _ request: ValidationRequest, stop: consuming StopSignal, finished: (CaseResult) -> Void,
    logger: Logger
) throws(DevmemError) -> ValidationReport {
    let begun = ContinuousClock.now
    let interface = try NetworkInterface(named: request.interface)
    var report = ValidationReport(
        on: .current, time: timeStamp(), interface: interface.name, driver: interface.driver,
        peer: request.peer?.description)
    let holder = SharedStopSignal(stop)
    switch try prepare(request, interface, holder, logger) {
    case .skip(let why):
        runAll(request.cases, holder, &report, finished) { _ in .skip(why) }
    case .run(let run):
        runAll(request.cases, holder, &report, finished) { run.run($0) }
        try run.releaseFixture()
    }
    report.seconds = (ContinuousClock.now - begun) / .seconds(1)
    return report
}

/// The outcome of the preparation.
private enum Preparation {
    case run(ValidationRun)
    /// The interface cannot be tested, for this reason.
    case skip(String)
}

private func prepare(
    _ request: ValidationRequest, _ interface: NetworkInterface, _ stop: SharedStopSignal,
    _ logger: Logger
) throws(DevmemError) -> Preparation {
    if let virtual = try interface.virtualInterface {
        // For a bond or similar, the error names the NIC beneath it.
        guard virtual.nics.isEmpty else { throw virtual.error("validate \(interface.name)") }
        return .skip("\(interface.name) is \(virtual.text), not a NIC")
    }
    try restoreLeftovers(interface, logger)
    let facts: ValidationFacts
    do throws(DevmemError) {
        facts = try ValidationFacts(of: interface)
    } catch {
        // The kernel lacks a netlink family, or the driver supports none of the requests.
        if error.kind == .unsupported { return .skip("\(error)") }
        guard case .skip(let why) = CaseVerdict(error) else { throw error }
        return .skip(why)
    }
    let peers = try ValidationPeers(request, interface, stop: stop)
    return .run(
        ValidationRun(facts, peers, provider: request.provider, stop: stop, logger: logger))
}

/// Runs cases until a signal arrives, and adds the results to the report.
private func runAll(
    _ cases: [ValidationCase], _ stop: SharedStopSignal, _ report: inout ValidationReport,
    _ finished: (CaseResult) -> Void, run: (ValidationCase) -> CaseVerdict
) {
    for one in cases {
        let start = ContinuousClock.now
        let verdict = run(one)
        // The result of an interrupted case is meaningless.
        if let signal = stop.pending() {
            report.stoppedBy = signal
            return
        }
        let result = CaseResult(
            family: one.family, name: one.name, title: one.title, verdict: verdict,
            seconds: (ContinuousClock.now - start) / .seconds(1))
        report.cases.append(result)
        finished(result)
    }
}

/// Restores what a dead process changed on the NIC, so that the test starts from the user's
/// settings. Refuses a NIC to which steering is applied permanently.
private func restoreLeftovers(_ interface: NetworkInterface, _ logger: Logger) throws(DevmemError) {
    let store = JournalStore()
    // Creates the directory if it does not exist; other problems are reported by the next call.
    _ = try? store.prepare()
    for entry in try steeredNICs(in: store) where entry.interface == interface {
        guard let journal = entry.journal else { continue }
        guard journal.phase != .kept else {
            throw DevmemError(
                .invalid, call: "validate \(interface.name)", errno: .resourceBusy,
                message: "it is steered by \"\(journal.name ?? journal.maker)\" to queues "
                    + "\(queueList(journal.queues)), and the test needs the whole NIC",
                advice: "\(AdvisedCommand(.restore, interface.name))")
        }
        _ = try restoreSteering(
            of: entry, forget: false, rss: .automatic, store: store, logger: logger)
    }
}

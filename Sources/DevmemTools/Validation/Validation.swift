package import DevmemCore
package import Logging

/// What a validation shall do.
package struct ValidationRequest: Sendable {
    /// The NIC.
    package var interface: String
    /// The far end; nil for none, which leaves out what needs one.
    package var farEnd: FarEndChoice?
    /// Addresses of the NIC to use, at most one of each family; the rest is found out.
    package var local: [IPAddress]
    /// Addresses for the far end to come from, at most one of each family.
    package var remote: [IPAddress]
    /// The cases to run.
    package var cases: [ValidationCase]

    /// Makes a request from its parts.
    package init(
        interface: String, farEnd: FarEndChoice?, local: [IPAddress] = [],
        remote: [IPAddress] = [], cases: [ValidationCase]
    ) {
        self.interface = interface
        self.farEnd = farEnd
        self.local = local
        self.remote = remote
        self.cases = cases
    }
}

/// Puts a NIC, its driver and the kernel to the test of device memory TCP. Every setting is put back
/// before it returns, and by the journal of steering if it does not.
///
/// - Parameters:
///   - request: what to do.
///   - stop: signals that end it, between two cases or where a case waits.
///   - finished: called with each result.
///   - logger: is told of each change of the NIC at level debug.
/// - Returns: what it found.
/// - Throws: `DevmemError` if it could not begin: there is no such interface, it is steered to stay
///   so, or the far end cannot be had or does not get to the NIC. An interface that is no NIC, and a
///   kernel that knows nothing of all this, are no errors: every case is skipped.
package func validate(
    _ request: ValidationRequest, stop: consuming StopSignal, finished: (CaseResult) -> Void,
    logger: Logger
) throws(DevmemError) -> ValidationReport {
    let begun = ContinuousClock.now
    let interface = try NetworkInterface(named: request.interface)
    var report = ValidationReport(
        interface: interface.name, driver: interface.driver,
        kernel: lines(of: "/proc/sys/kernel/osrelease").first.map(String.init) ?? "unknown",
        farEnd: request.farEnd?.description)
    let holder = SharedStopSignal(stop)
    switch try prepare(request, interface, holder, logger) {
    case .skip(let why):
        runAll(request.cases, holder, &report, finished) { _ in .skip(why) }
    case .run(let run):
        runAll(request.cases, holder, &report, finished) { run.run($0) }
        try run.releaseStage()
    }
    report.seconds = (ContinuousClock.now - begun) / .seconds(1)
    return report
}

/// What can be done with an interface.
private enum Preparation {
    case run(ValidationRun)
    /// It is nothing that could be put to this test: why.
    case skip(String)
}

private func prepare(
    _ request: ValidationRequest, _ interface: NetworkInterface, _ stop: SharedStopSignal,
    _ logger: Logger
) throws(DevmemError) -> Preparation {
    if let virtual = try interface.virtualInterface {
        // Who names a bond means its NIC.
        guard virtual.nics.isEmpty else { throw virtual.error("validate \(interface.name)") }
        return .skip("\(interface.name) is \(virtual.text), not a NIC")
    }
    try mend(interface, logger)
    let facts: ValidationFacts
    do throws(DevmemError) {
        facts = try ValidationFacts(of: interface)
    } catch {
        // A kernel without a netlink family, or a driver that does not answer at all.
        if error.kind == .unsupported { return .skip("\(error)") }
        guard case .skip(let why) = CaseVerdict(error) else { throw error }
        return .skip(why)
    }
    let peers = try ValidationPeers(request, interface, stop: stop)
    return .run(ValidationRun(facts, peers, stop: stop, logger: logger))
}

/// Runs cases until a signal comes, and puts what becomes of them in the report.
private func runAll(
    _ cases: [ValidationCase], _ stop: SharedStopSignal, _ report: inout ValidationReport,
    _ finished: (CaseResult) -> Void, run: (ValidationCase) -> CaseVerdict
) {
    for one in cases {
        let start = ContinuousClock.now
        let verdict = run(one)
        // What a signal has cut short has found nothing.
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

/// Takes back what a process that is gone has changed on a NIC, which is no state to begin with, nor to
/// end with; refuses a NIC that someone has steered to stay so.
private func mend(_ interface: NetworkInterface, _ logger: Logger) throws(DevmemError) {
    let store = JournalStore()
    // A folder that is not there yet is made as by all that steer; what else is wrong shows next.
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

public import Logging

/// What a validation shall do.
public struct ValidationRequest: Sendable {
    /// The NIC.
    public var interface: String
    /// The far end; nil for none, which leaves out what needs one.
    public var farEnd: FarEndChoice?
    /// Addresses of the NIC to use, at most one of each family; the rest is found out.
    public var local: [IPAddress]
    /// Addresses for the far end to come from, at most one of each family.
    public var remote: [IPAddress]
    /// The cases to run.
    public var cases: [ValidationCase]

    /// Makes a request from its parts.
    public init(
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
/// - Throws: `DevmemError` if it could not begin: there is no such NIC, or the far end cannot be
///   had.
public func validate(
    _ request: ValidationRequest, stop: consuming StopSignal, finished: (CaseResult) -> Void,
    logger: Logger
) throws(DevmemError) -> ValidationReport {
    let begun = ContinuousClock.now
    let interface = try NetworkInterface(named: request.interface)
    try interface.requireNIC("validate")
    // What a process that died has left is no state to begin with, nor to end with.
    try mend(interface, logger)
    let facts = try ValidationFacts(of: interface)
    let holder = StopHolder(stop)
    let peers = try ValidationPeers(request, interface, stop: holder)
    let run = ValidationRun(facts, peers, stop: holder, logger: logger)
    var report = ValidationReport(
        interface: interface.name, driver: interface.driver,
        kernel: lines(of: "/proc/sys/kernel/osrelease").first.map(String.init) ?? "unknown",
        farEnd: request.farEnd?.description)
    for one in request.cases {
        let start = ContinuousClock.now
        let verdict = run.run(one)
        // What a signal has cut short has found nothing.
        if let signal = holder.pending() {
            report.stoppedBy = signal
            break
        }
        let result = CaseResult(
            family: one.family, name: one.name, title: one.title, verdict: verdict,
            seconds: (ContinuousClock.now - start) / .seconds(1))
        report.cases.append(result)
        finished(result)
    }
    try run.releaseStage()
    report.seconds = (ContinuousClock.now - begun) / .seconds(1)
    return report
}

/// Takes back what a process that is gone has changed on a NIC.
private func mend(_ interface: NetworkInterface, _ logger: Logger) throws(DevmemError) {
    for entry in try steeringEntries() where entry.interface == interface {
        guard entry.journal.map({ $0.phase != .kept }) ?? false else { continue }
        _ = try restoreSteering(of: entry, forget: false, rss: .automatic, logger: logger)
    }
}

import DevmemCore
import DevmemTools
import Glibc
import Logging
import SystemPackage

/// The program under the name of the kernel's selftest, ncdevmem: with the same options, modes and
/// exit statuses.
struct Ncdevmem {
    static let name = "ncdevmem"

    /// Tells whether the program is called by that name, in any directory.
    static func isCalled(by path: String?) -> Bool {
        path?.split(separator: "/", omittingEmptySubsequences: false).last.map { $0 == name }
            ?? false
    }

    /// The exit status of a failed selftest.
    private static let selfTestFailed: Int32 = 255

    private let logger = Logger(label: name) { ErrorLogHandler(name: $0, logLevel: .notice) }

    /// Runs what a command line asks for.
    ///
    /// - Parameter arguments: the arguments without the program's name.
    /// - Returns: the exit status.
    func run(_ arguments: [String]) -> Int32 {
        do throws(DevmemError) {
            let options = try NcdevmemOptions(arguments)
            let job = try NcdevmemJob(options)
            let idle = NcdevmemJob.idle(in: options, for: job)
            if !idle.isEmpty {
                let letters = idle.map { "-\($0)" }.joined(separator: " ")
                say("without -s this is the selftest, which ignores \(letters)")
            }
            switch job {
            case .selfTest(let test): return try run(test)
            case .receive(let request): return try run(request)
            case .send(let request): return try run(request)
            }
        } catch {
            say("\(error)")
            return 1
        }
    }

    private func say(_ line: String) { writeError("\(Self.name): \(line)\n") }

    /// Words advice with ncdevmem's options and drops it for parameters that have none. Commands
    /// are given in full.
    static let style = AdviceStyle(
        parameter: { parameter in
            switch parameter {
            case .queues: "-t and -q"
            case .interface: "-f"
            default: nil
            }
        }, command: { $0.line })

    // MARK: - Selftest

    private func run(_ job: NcdevmemJob.SelfTest) throws(DevmemError) -> Int32 {
        let interface = try NetworkInterface(named: job.interface)
        var queues = job.queues ?? []
        if job.queues == nil { queues = try upperHalf(of: interface) }
        let stop = try StopSignal.ofUser()
        let test = BindingSelfTest(
            interface: interface, queues: queues, memory: job.memory, pageSize: job.pageSize,
            command: Self.name)
        do throws(DevmemError) {
            let trials = try test.run(logger: logger)
            say(
                "\(interface.name): \(trials.count) of \(BindingTrial.allCases.count) trials passed "
                    + "on queues \(queueList(queues))")
        } catch {
            say("\(error)")
            return Self.selfTestFailed
        }
        return stop.pending().map { 128 + $0 } ?? 0
    }

    private func upperHalf(of interface: NetworkInterface) throws(DevmemError) -> [UInt32] {
        let all = try receiveQueues(of: interface)
        guard all.count > 1 else {
            throw DevmemError(
                .invalid, call: "choose queues of \(interface.name)",
                message: "it has only \(all.count), and other traffic needs one",
                advice: "ethtool -L \(shellWord(interface.name)) gives it more")
        }
        return Array(all[(all.count / 2)...].prefix(all.count / 2))
    }

    // MARK: - Server

    private func run(_ job: NcdevmemJob.Receive) throws(DevmemError) -> Int32 {
        let listen = try Endpoint.candidates(resolving: job.listen)
        var from: [IPAddress] = []
        if let host = job.from { from = try Endpoint.addresses(of: host) }
        let request = ReceiveRequest(
            interface: job.interface, listen: listen, from: from,
            fromPort: from.isEmpty ? nil : listen[0].port, allowsOtherPorts: true,
            queues: job.queues, steers: job.steers, memory: job.memory,
            pageSize: job.pageSize.map(PageSizeChoice.bytes) ?? .onePage,
            isDeviceOnly: job.isDeviceOnly, allowsHostMemory: true, command: Self.name)
        let output = job.pattern == nil ? try OutputStream("-") : nil
        let sink = CommandSink(job.pattern.map { PatternSink($0) }, output)
        let stop = try StopSignal.ofUser()
        let observer = ReceiveObserver(
            listening: { say("listening on \($0), \($1)") },
            connected: { say("connection from \($1)") },
            prepared: { () throws(DevmemError) in
                try dropPrivileges(keeping: .undoing, logger: logger)
            })
        let report = try receive(
            request, into: sink, until: stop, observer: observer, logger: logger)
        if let signal = report.stoppedBy { return 128 + signal }
        say(Self.summary(of: report))
        if let failure = Self.fault(in: report) {
            say(failure)
            return 1
        }
        if let validation = report.validation {
            try writeOutput("Validated buffer: \(validation.checkedBytes) bytes\n")
        }
        return 0
    }

    /// Summarizes what was received.
    static func summary(of report: ReceiveReport) -> String {
        let counts = report.counts
        return
            "received \(counted(counts.bytes, "byte")), \(counts.deviceBytes) in device memory of queues "
            + "\(queueList(report.queues)), \(counts.linearBytes) linear, "
            + "\(counts.ordinaryBytes) ordinary"
            + (report.validation.map { "; \(text(of: $0))" } ?? "")
    }

    /// Returns why a connection counts as failed; nil if it succeeded.
    static func fault(in report: ReceiveReport) -> String? {
        if let failure = failure(in: report) { return failure }
        // Some packets may land in host memory, but not the whole stream.
        guard report.counts.bytes > 0, report.counts.deviceBytes == 0 else { return nil }
        return "none of \(report.counts.bytes) bytes arrived in device memory: "
            + "the flow rule or header split does not work"
    }

    // MARK: - Client

    private func run(_ job: NcdevmemJob.Send) throws(DevmemError) -> Int32 {
        let peers = try Endpoint.candidates(resolving: job.peer)
        var local: [Endpoint] = []
        if let text = job.local { local = try Endpoint.candidates(resolving: text) }
        let request = TransmitRequest(
            interface: job.interface, peers: peers, local: local, memory: job.memory,
            chunk: 1 << 20, entrySize: job.entrySize, usesHostMemory: false, isPinned: true, wait: 0
        )
        let source = try InputStream("-")
        var sink = DiscardingSink()
        let stop = try StopSignal.ofUser()
        let report = try send(
            request, from: source, into: &sink, until: stop,
            observer: TransmitObserver(
                connected: { local, _ in say("connected from \(local), \(job.interface)") },
                prepared: { () throws(DevmemError) in
                    try dropPrivileges(keeping: [], logger: logger)
                }))
        if let signal = report.stoppedBy { return 128 + signal }
        if let failure = report.failure {
            say(failure)
            return 1
        }
        say("sent \(counted(report.counts.sentBytes, "byte")) from device memory")
        return 0
    }
}

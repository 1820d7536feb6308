import ArgumentParser
import DevmemCore
import DevmemTools
import FoundationEssentials
import Glibc
import Logging
import SystemPackage

struct Bind: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bind",
        abstract: "Bind a dma-buf to a NIC and hold it, for a command or until a signal.",
        discussion: """
            A binding lives as long as the process that made it. This command makes one for programs \
            that do not make their own, or lack the privilege. A COMMAND inherits the dma-buf as \
            descriptor 3 and finds its ids in the environment; when it ends, everything is undone.
            """)

    @Argument(help: ArgumentHelp("The NIC.", valueName: "iface"), completion: .nic)
    var interface: String

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The command to run with the dma-buf, after --.", valueName: "command"))
    var command: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Receive queues to bind: 6-7, 1,3, 'last 2', or auto for a free one.",
            valueName: "list"))
    var rx: QueueSelection?

    @Flag(name: .long, help: "Bind the dma-buf for sending.")
    var tx = false

    @OptionGroup var buffer: MemoryOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Size of the buffers that the NIC fills, a power of two. More than a page needs huge \
            pages.
            """, valueName: "size"))
    var pageSize: ByteSize?

    @OptionGroup var flows: FlowOptions

    @Flag(name: .long, help: "Leave the NIC's settings as they are.")
    var noSteering = false

    @Flag(name: .long, help: "Restore steering that the NIC loses while memory is bound.")
    var keepSteered = false

    @Option(
        name: .long, help: ArgumentHelp("Run the command as this user.", valueName: "name"),
        completion: .user)
    var user: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Hand the dma-buf over to each program that connects to this unix socket.",
            valueName: "path"), completion: .file())
    var socket: String?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if rx == nil && !tx { throw ValidationError("Give --rx, --tx or both.") }
        if rx == nil && (pageSize != nil || !flows.flow.isEmpty || noSteering) {
            throw ValidationError("--page-size, --flow and --no-steering require --rx.")
        }
        if keepSteered && (rx == nil || noSteering) {
            throw ValidationError("--keep-steered requires --rx and excludes --no-steering.")
        }
        if noSteering && !flows.flow.isEmpty {
            throw ValidationError("--no-steering and --flow cannot be combined.")
        }
        if user != nil && command.isEmpty {
            throw ValidationError("--user requires a command.")
        }
        if let pageSize, UInt32(exactly: pageSize.bytes) == nil {
            throw ValidationError("--page-size is too large.")
        }
    }

    func run() throws {
        try reporting(common, on: reportStream) {
            try bind()
        }
    }

    private func bind() throws {
        let interface = try NetworkInterface(named: interface)
        let user = try user.map { name throws(DevmemError) in try UserIdentity(named: name) }
        let request = try request()
        let stop = try StopSignal.ofUser()
        let nic = try BoundNIC.allocating(
            buffer.memory.bytes, from: buffer.maker.provider, on: interface, request,
            logger: common.logger)
        for note in nic.notes {
            common.logger.notice("\(interface.name): \(note)")
        }
        let report = BindReport(nic, pageSize: request.pageSize)
        let server = try socket.map {
            try DmabufServer(
                at: $0, for: nic.memory, with: json(of: report), owner: user?.number,
                logger: common.logger)
        }
        try show(report)
        let readiness = Readiness(environment: ProcessInfo.processInfo.environment)
        try announce { () throws(DevmemError) in
            try readiness.ready(status: report.line)
        }
        let status = try hold(nic, report, as: user, until: stop, serving: server)
        try announce { () throws(DevmemError) in
            try readiness.stopping()
        }
        try nic.release()
        if status != 0 { throw ExitCode(status) }
    }

    private func request() throws(DevmemError) -> BindRequest {
        BindRequest(
            queues: try queues(), transmits: tx, pageSize: pageSize.map { UInt32($0.bytes) },
            watch: keepSteered ? .renews : .logs, command: "devmemtcp bind")
    }

    private func queues() throws(DevmemError) -> BindRequest.Queues {
        guard let choice = rx?.choice else { return .none }
        return noSteering ? .unsteered(choice) : .steered(try flows.request(queues: choice))
    }

    /// Runs a notification to the service manager. A failed one is logged and does not end the
    /// binding.
    private func announce(_ body: () throws(DevmemError) -> Void) throws {
        do throws(DevmemError) { try body() } catch { common.logger.warning("\(error)") }
    }

    /// Prints the report. With a command, standard output belongs to the command.
    private func show(_ report: BindReport) throws {
        let text = common.json ? try json(of: report) : report.line + "\n"
        guard command.isEmpty || common.json || !common.quiet else { return }
        do throws(DevmemError) {
            try reportStream.write(text)
        } catch {
            // With a command the line is optional, and standard error may be closed on purpose.
            if command.isEmpty || common.json { throw error }
        }
    }

    private var reportStream: ReportStream { command.isEmpty ? .output : .error }

    /// Holds the binding until the command or a signal ends it, and returns the exit status.
    private func hold(
        _ nic: borrowing BoundNIC, _ report: BindReport, as user: UserIdentity?,
        until stop: borrowing StopSignal, serving server: DmabufServer?
    ) throws(DevmemError) -> Int32 {
        guard !command.isEmpty else {
            try dropPrivileges(keeping: .undoing, logger: common.logger)
            return 128 + (try nic.hold(until: stop, serving: server))
        }
        let child: ChildProcess
        do throws(DevmemError) {
            // /proc/self/exe is this program; a path from the environment may name another one.
            let prefix = user.map { ["/proc/self/exe", RunAs.name, $0.name, "--"] } ?? []
            child = try ChildProcess(
                prefix + command, environment: report.environment,
                inheriting: nic.memory.dmabuf.descriptor.rawValue)
        } catch {
            writeError("devmemtcp: \(error)\n")
            return Self.statusOfSpawnFailure(error)
        }
        do throws(DevmemError) {
            // The command may run as another user.
            try dropPrivileges(keeping: CapabilitySet.undoing.union(.kill), logger: common.logger)
        } catch {
            // The command runs already, and must not be left alone.
            common.logger.warning("\(error)")
        }
        return switch try nic.hold(for: child, passing: stop, serving: server) {
        case .exited(let status): status
        case .killed(let signal): 128 + signal
        }
    }

    /// Returns the status that shells use: 127 if the command is not found, 126 if it cannot run.
    static func statusOfSpawnFailure(_ error: DevmemError) -> Int32 {
        error.errno == .noSuchFileOrDirectory ? 127 : 126
    }
}

/// Switches to a user and runs a command. `bind` starts it in the process that becomes the command.
struct RunAs: ParsableCommand {
    static let name = "run-as"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Run a command as a user.", shouldDisplay: false)

    @Argument var user: String
    @Argument(parsing: .postTerminator) var command: [String] = []

    func run() throws {
        do throws(DevmemError) {
            try UserIdentity(named: user).assume()
        } catch {
            writeError("devmemtcp: \(error)\n")
            throw ExitCode(126)
        }
        let error = execute(command)
        writeError("devmemtcp: \(error)\n")
        throw ExitCode(Bind.statusOfSpawnFailure(error))
    }
}

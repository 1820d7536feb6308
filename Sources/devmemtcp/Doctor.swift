import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check whether this host and its NICs can do device memory TCP.",
        discussion: """
            Checks kernel, privileges, memory, network settings and NICs, and changes nothing. Each \
            check shows what was read and, if there is one, a command that fixes it, to be run as \
            root. The exit status is 1 if a check failed.
            """)

    @Argument(
        help: ArgumentHelp("The NIC. Default: all that have a driver.", valueName: "iface"),
        completion: .nic)
    var interface: String?

    @Flag(name: .long, help: "Bind a queue of the NIC for a moment to prove that it works.")
    var probe = false

    @Flag(name: .shortAndLong, help: "Do not ask for confirmation.")
    var yes = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if probe && interface == nil { throw ValidationError("--probe needs a NIC.") }
        if yes && !probe { throw ValidationError("--yes requires --probe.") }
        if probe && !yes && isatty(STDIN_FILENO) == 0 {
            throw ValidationError("--probe needs --yes if standard input is not a terminal.")
        }
    }

    func run() throws {
        try reporting(common) {
            let devices = try chosenDevices()
            let host = HostFacts()
            var checks = DevmemTools.checks(of: host)
            for device in devices {
                checks += DevmemTools.checks(of: NICFacts(of: device, on: host))
            }
            if devices.isEmpty { checks.append(.noNIC) }
            var endedBy: Int32?
            if probe, let device = devices.first, agrees(to: device.interface) {
                let stop = try StopSignal.ofUser()
                checks += DevmemTools.probe(device.interface, logger: common.logger)
                // A signal during the probe is handled only after the settings are restored
                // completely.
                endedBy = stop.pending()
            }
            let report = DoctorReport(host: host, devices: devices, checks: checks)
            if common.json {
                try printJSON(report)
            } else {
                try ReportStream.output.writeForTerminal(report.text(coloured: coloured))
            }
            if let endedBy { throw ExitCode(128 + endedBy) }
            if !report.isReady { throw ExitCode.failure }
        }
    }

    private func chosenDevices() throws(DevmemError) -> [NetworkDevice] {
        guard let interface else { return try NetworkDevice.all() }
        return [NetworkDevice(of: try NetworkInterface(named: interface))]
    }

    private func agrees(to interface: NetworkInterface) -> Bool {
        if yes { return true }
        writeError(
            "bind a queue of \(interface.name) for a moment? Its traffic moves to other queues "
                + "meanwhile. [y/N] ")
        return ["y", "yes"].contains(readLine()?.lowercased())
    }

    private var coloured: Bool {
        isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
    }
}

extension DoctorCheck {
    /// A host without any NIC fails the check.
    static let noNIC = DoctorCheck(
        id: "nic-present", group: .nic, interface: nil, title: "NICs", verdict: .failed,
        evidence: "no interface of this network namespace has a driver", fix: nil)
}

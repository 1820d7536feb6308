import ArgumentParser
import DevmemCore
import DevmemTools

extension Steer {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Show what is steered, by whom, and the settings that steering may change.")

        @Argument(
            help: ArgumentHelp("The NIC. Default: all that are steered.", valueName: "iface"),
            completion: .nic)
        var interface: String?

        @OptionGroup var common: CommonOptions

        func run() throws {
            try reporting(common) {
                var reports: [SteeringReport] = []
                let entries = try steeredNICs().filter {
                    $0.journal != nil || $0.problem != nil || $0.holder != nil
                }
                if let interface {
                    let named = try NetworkInterface(named: interface)
                    let entry = entries.first { $0.interface == named }
                    reports.append(
                        SteeringReport(
                            interface: named.name, settings: try NICSnapshot(of: named),
                            entry: entry))
                } else {
                    for entry in entries {
                        let settings = try entry.interface.map { known throws(DevmemError) in
                            try NICSnapshot(of: known)
                        }
                        reports.append(
                            SteeringReport(
                                interface: entry.name, settings: settings, entry: entry))
                    }
                }
                if common.json {
                    try printJSON(SteeringReports(interfaces: reports))
                } else {
                    try writeOutput(
                        reports.isEmpty
                            ? "nothing is steered\n" : reports.map(\.text).joined())
                }
            }
        }
    }
}

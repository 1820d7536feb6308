import ArgumentParser
import DevmemCore
import DevmemTools

extension Steer {
    struct Restore: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "restore",
            abstract: "Restore the settings after apply, or after a process was killed.")

        @Argument(
            help: ArgumentHelp("A NIC, or the name given to apply.", valueName: "iface|name"),
            completion: .nic)
        var target: String?

        @Flag(name: .long, help: "Restore all NICs of this network namespace.")
        var all = false

        @Flag(name: .long, help: "Drop the journal and leave the NIC as it is.")
        var forget = false

        @OptionGroup var rss: RSSOptions
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if (target == nil) != all {
                throw ValidationError("Give either a NIC or --all.")
            }
        }

        func run() throws {
            try reporting(common) {
                // A signal must not interrupt the restoration; it is handled afterwards.
                let stop = try StopSignal.ofUser()
                var reports: [RestoreReport] = []
                for found in try targets() { reports.append(restore(found)) }
                if common.json {
                    try printJSON(RestoreReports(interfaces: reports))
                } else {
                    try writeOutput(
                        reports.isEmpty
                            ? "nothing is steered\n" : reports.map(\.text).joined())
                }
                for report in reports {
                    if let failure = report.failure { writeError("devmemtcp: \(failure)\n") }
                }
                if let signal = stop.pending() { throw ExitCode(128 + signal) }
                if reports.contains(where: { $0.failure != nil }) { throw ExitCode.failure }
            }
        }

        private func targets() throws(DevmemError) -> [SteeredNIC] {
            let entries = try steeredNICs().filter(\.hasJournal)
            guard let target else { return entries }
            let wanted = entries.filter { $0.answers(to: target) }
            // An interface that is not steered is fine; one that does not exist is an error.
            if wanted.isEmpty { _ = try NetworkInterface(named: target) }
            return wanted
        }

        private func restore(_ entry: SteeredNIC) -> RestoreReport {
            var report = RestoreReport(interface: entry.name)
            do throws(DevmemError) {
                let outcome = try restoreSteering(
                    of: entry, forget: forget, rss: rss.interface, logger: common.logger)
                report.steeredBy = outcome?.journal.map { $0.name ?? $0.maker }
                report.restored = outcome?.result.restored ?? []
                report.leftAlone = outcome?.result.leftAlone ?? []
                report.isForgotten = forget
                report.failure =
                    outcome?.result.failure?.advising(
                        "\(AdvisedCommand(.restore, entry.name)) tries again"
                    ).description
            } catch {
                report.failure = error.description
            }
            return report
        }
    }
}

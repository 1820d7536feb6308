import ArgumentParser
import DevmemCore
import DevmemTools

/// Measures the parts of the data path that need neither a NIC nor privilege.
struct BenchNative: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "native",
        abstract: "Measure what the data path costs on this CPU, without the kernel or a NIC.")

    @OptionGroup var common: CommonOptions

    func run() throws {
        try reporting(common) {
            let costs = try NativeCosts()
            guard !common.json else { return try printJSON(costs) }
            let validation = costs.validationBytesPerSecond
            let share = validation / costs.memcmpBytesPerSecond
            try writeOutput(
                aligned([
                    ("control message", "\(fixed(costs.parseNanoseconds, 2)) ns"),
                    ("token", "\(fixed(costs.tokenNanoseconds, 2)) ns"),
                    (
                        "validation",
                        "\(fixed(validation / 1e9, 2)) GB/s, \(fixed(share, 3)) of memcmp"
                    ),
                ]))
        }
    }
}

import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc
import Logging

/// Measures TCP through a NIC, with or without device memory.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure goodput, CPU time and latency of device memory TCP.",
        discussion: """
            Payload flows between this host and a peer, to or from device memory or as plain TCP, \
            over any number of flows, in one direction or both. The peer runs bench serve, or is \
            started by bench run, which reports what both sides measured. Every setting of the NICs \
            is restored.
            """,
        subcommands: [
            BenchRun.self, BenchServe.self, BenchMatrixCommand.self, BenchNative.self,
        ])
}

struct BenchServe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run as the peer of benchmarks, one after another.",
        discussion: """
            Does what the connecting host asks for, including device memory and steering of the NIC, \
            until a signal arrives. --from restricts who may connect.
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Use only this NIC.", valueName: "iface"), completion: .nic)
    var interface: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Address to listen on: HOST:PORT, [IPV6]:PORT or :PORT. Default: :5201.",
            valueName: "addr:port"))
    var listen: EndpointArgument?

    @Option(
        name: .long, help: ArgumentHelp("The only address that may connect.", valueName: "addr"))
    var from: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Run the threads on these CPUs, in turn: 0-3 or 1,3; near for those of the NIC's NUMA node, \
            or any. Default: the peer's choice, or near.
            """, valueName: "list"))
    var cpus: ProcessorsArgument?

    @Flag(name: .long, help: "Restore steering that the NIC loses during a benchmark.")
    var keepSteered = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        try reporting(common) {
            let listen = try listen?.text ?? EndpointText(":\(PeerArgument.defaultPort)")
            let request = BenchServeRequest(
                listen: try Endpoint.candidates(resolving: listen), interface: interface,
                from: try from.map { name throws(DevmemError) in
                    try Endpoint.addresses(of: name)
                } ?? [], processors: cpus?.choice, keepsSteered: keepSteered)
            let logger = common.logger
            raiseDescriptorLimit()
            let arrived = try serveBench(
                request, stop: try StopSignal.ofUser(),
                listening: { logger.notice("listening on \($0)") }, logger: logger)
            throw ExitCode(128 + arrived)
        }
    }
}

/// A rate in bits per second on the command line: `500M`, `10G`; suffixes are powers of 1000.
struct BitRate: OptionValue, Equatable {
    static let form =
        "bits per second, at least 8, with or without suffix K, M, G or T (powers of 1000), such as 10G"

    /// The rate in bytes per second.
    var bytes: UInt64

    init?(argument: String) {
        let factors: [Character: UInt64] = [
            "K": 1000, "M": 1_000_000, "G": 1_000_000_000, "T": 1_000_000_000_000,
        ]
        guard let last = argument.uppercased().last else { return nil }
        let digits = factors[last] == nil ? argument[...] : argument.dropLast()
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt64(digits) else {
            return nil
        }
        let (bits, overflow) = number.multipliedReportingOverflow(by: factors[last] ?? 1)
        guard !overflow, bits >= 8 else { return nil }
        bytes = bits / 8
    }
}

extension BenchMemory: ExpressibleByArgument {}

/// The memory that this host uses in one direction, on the command line: `device`, `host` or
/// `none`.
enum MemoryArgument: String, ExpressibleByArgument, CaseIterable {
    case device, host
    case nothing = "none"

    var memory: BenchMemory? { BenchMemory(rawValue: rawValue) }
}

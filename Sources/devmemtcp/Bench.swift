import ArgumentParser
import DevmemCore
import DevmemTools
import Glibc
import Logging

/// Measures TCP through a NIC, with device memory or without.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure goodput, processor time and latency of device memory TCP.",
        discussion: """
            Payload flows between two ends, to or from device memory or as plain TCP, over many \
            flows and both ways if that is asked for. The far end serves, or is started by the \
            near end, which reports what both saw. Every setting of the NICs is put back.
            """,
        subcommands: [BenchRun.self, BenchServe.self, BenchNative.self])
}

struct BenchServe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Be the far end of benchmarks, one after another.",
        discussion: """
            Does what whoever connects asks for, device memory and steering of the NIC included, \
            until a signal comes. --from says who may come.
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Use only this NIC.", valueName: "iface"))
    var interface: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Where the other end comes to: HOST:PORT, [IPV6]:PORT or :PORT. Default: :5201.",
            valueName: "addr:port"))
    var listen: EndpointArgument?

    @Option(
        name: .long, help: ArgumentHelp("The only address that may come.", valueName: "addr"))
    var from: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Run each thread on one of these processors, in turn: 0-3 or 1,3.", valueName: "list"))
    var cpus: ProcessorList?

    @Flag(name: .long, help: "Set again what the NIC loses of its steering meanwhile.")
    var keepSteered = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        try reporting(common) {
            let listen = try listen?.text ?? EndpointText(":\(PeerArgument.defaultPort)")
            let request = BenchServeRequest(
                listen: try Endpoint.candidates(resolving: listen), interface: interface,
                from: try from.map { name throws(DevmemError) in
                    try Endpoint.addresses(of: name)
                } ?? [], processors: cpus?.processors ?? [], keepsSteered: keepSteered)
            let logger = common.logger
            raiseDescriptorLimit()
            let arrived = try serveBench(
                request, stop: try StopSignal.ofUser(),
                listening: { logger.notice("listening on \($0)") }, logger: logger)
            throw ExitCode(128 + arrived)
        }
    }
}

/// Processors on the command line: `0-3` or `1,3`.
struct ProcessorList: OptionValue, Equatable {
    static let form =
        "numbers of processors below 4096, such as 0-3 or 1,3"

    var processors: [Int]

    init?(argument: String) {
        guard let list = QueueSelection(argument: argument),
            case .list(let numbers) = list.choice, numbers.allSatisfy({ $0 < 4096 })
        else { return nil }
        processors = numbers.map { Int($0) }
    }
}

/// A rate on the command line, in bits a second: `500M`, `10G`, powers of 1000.
struct BitRate: OptionValue, Equatable {
    static let form =
        "bits a second from 8 on, with K, M, G or T for powers of 1000 or without, such as 10G"

    /// Bytes a second.
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

/// The memory of one end and direction on the command line: `device`, `host` or `none`.
enum MemoryArgument: String, ExpressibleByArgument, CaseIterable {
    case device, host
    case nothing = "none"

    var memory: BenchMemory? { BenchMemory(rawValue: rawValue) }
}

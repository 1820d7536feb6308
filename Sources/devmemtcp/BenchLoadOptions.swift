import ArgumentParser
import DevmemCore
import DevmemTools

/// Options that describe the load of a benchmark.
struct BenchLoadOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Measure for this long. Default: 10.", valueName: "seconds"))
    var time: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Measure until this much has been sent in each direction, over all flows.",
            valueName: "size"))
    var bytes: ByteSize?

    @Option(
        name: .long,
        help: ArgumentHelp("Let payload flow for this long before measuring.", valueName: "seconds")
    )
    var warmUp = 0.0

    @Option(name: .long, help: ArgumentHelp("Number of TCP connections.", valueName: "n"))
    var flows = 1

    @Option(
        name: .long,
        help: ArgumentHelp("Number of threads on each side, which share the flows.", valueName: "n")
    )
    var threads = 1

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Memory of this host to receive into. Default: device, or none with --tx.",
            valueName: "memory"))
    var rx: MemoryArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Memory of this host to send from. Default: none.",
            valueName: "memory"))
    var tx: MemoryArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Memory of the peer to receive into.", valueName: "memory"))
    var peerRx = BenchMemory.host

    @Option(
        name: .long,
        help: ArgumentHelp("Memory of the peer to send from.", valueName: "memory"))
    var peerTx = BenchMemory.host

    @Flag(
        name: .long,
        help: """
            Send payload in both directions at once; a direction without its own option is plain TCP.
            """)
    var duplex = false

    @Option(
        name: .long,
        help: ArgumentHelp("The most bytes per send call. Default: 256K.", valueName: "size"))
    var message: ByteSize?

    @Option(
        name: .long,
        help: ArgumentHelp("The maximum segment size.", valueName: "bytes"))
    var mss: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("The congestion control algorithm.", valueName: "name"),
        completion: .congestionControl)
    var congestion: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Maximum send rate of each flow in bits per second, such as 10G.", valueName: "bitrate")
    )
    var pace: BitRate?

    @OptionGroup var polling: BusyPollOption

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Measure the latency of requests and responses of this size.", valueName: "size"))
    var requestResponse: ByteSize?

    @Flag(name: .customLong("validate"), help: "Compare all received payload with the pattern.")
    var validates = false

    @Option(
        name: .long,
        help: ArgumentHelp("Size of the dma-buf that a side receives into.", valueName: "size"))
    var memory = ByteSize(bytes: 64 << 20)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Size of the buffers that the NICs fill, a power of two; large ones need huge pages.",
            valueName: "size"))
    var rxPageSize: ByteSize?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How both sides receive into device memory: by the socket, by io_uring, or auto.",
            valueName: "engine"))
    var engine = ReceiveEngineChoice.socket

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Run the peer's threads on these CPUs, in turn.", valueName: "list"))
    var peerCpus: ProcessorList?

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            The peer's address and the first port of its flows, for NICs whose flow rules must match \
            both addresses and both ports.
            """, valueName: "addr:port"))
    var from: NumericSource?

    @OptionGroup var maker: ProviderOption

    func validate() throws {
        if time != nil && bytes != nil {
            throw ValidationError("--time and --bytes cannot be combined.")
        }
        do throws(DevmemError) {
            try plan.check()
        } catch {
            throw ValidationError("\(error.description).")
        }
    }

    /// The plan that the options describe.
    var plan: BenchPlan {
        var plan = BenchPlan()
        let isBoth = duplex || requestResponse != nil
        let receives = rx ?? (tx == nil || tx == .nothing ? .device : .nothing)
        let sends = tx ?? .nothing
        func memory(_ choice: MemoryArgument) -> BenchMemory? {
            choice.memory ?? (isBoth ? .host : nil)
        }
        plan.inbound = memory(receives).map {
            BenchPlan.Direction(sender: peerTx, receiver: $0)
        }
        plan.outbound = memory(sends).map {
            BenchPlan.Direction(sender: $0, receiver: peerRx)
        }
        plan.bytes = bytes?.bytes
        plan.seconds = bytes == nil ? time ?? 10 : nil
        plan.warmUp = warmUp
        plan.flows = flows
        plan.threads = threads
        if let message { plan.message = Int(clamping: message.bytes) }
        plan.segment = mss
        plan.congestion = congestion
        plan.pace = pace?.bytes
        plan.busyPoll = polling.busyPoll?.microseconds
        plan.validates = validates
        plan.requestSize = requestResponse.map { Int(clamping: $0.bytes) }
        plan.memory = self.memory.bytes
        plan.pageSize = rxPageSize.map { UInt32(clamping: $0.bytes) }
        plan.engine = engine == .socket ? nil : engine
        plan.source = from?.source
        plan.remoteProcessors = peerCpus?.processors ?? []
        return plan
    }
}

/// The source of flows on the command line: `192.0.2.2:40000` or `[2001:db8::2]:40000`. Only
/// numbers are accepted, because the peer uses the address and a name may resolve differently
/// there.
struct NumericSource: OptionValue, Equatable {
    static let form =
        "a numeric ADDR:PORT or [IPV6]:PORT, such as 192.0.2.2:40000"

    var source: BenchPlan.Source

    init?(argument: String) {
        guard let text = SourceArgument(argument: argument), let port = text.port,
            let address = IPAddress(text: text.host)
        else { return nil }
        source = BenchPlan.Source(address: address.description, port: port)
    }
}

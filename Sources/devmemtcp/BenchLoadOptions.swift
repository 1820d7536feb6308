import ArgumentParser
import DevmemCore
import DevmemTools

/// What payload flows in a benchmark, and how.
struct BenchLoadOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("Measure for so long.", valueName: "seconds"))
    var time: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Measure until so much has gone each way, over all flows.", valueName: "size"))
    var bytes: ByteSize?

    @Option(
        name: .long,
        help: ArgumentHelp("Let payload flow for so long before measuring.", valueName: "seconds"))
    var warmUp = 0.0

    @Option(name: .long, help: ArgumentHelp("TCP connections.", valueName: "n"))
    var flows = 1

    @Option(
        name: .long,
        help: ArgumentHelp("Threads of each end, which share the flows.", valueName: "n"))
    var threads = 1

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where payload that comes is put: device, host or none. Default: device, or none with --tx.",
            valueName: "memory"))
    var rx: MemoryArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where payload that goes is taken from: device, host or none. Default: none.",
            valueName: "memory"))
    var tx: MemoryArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Where the far end puts payload: device or host.", valueName: "memory"))
    var peerRx = MemoryArgument.host

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where the far end takes payload from: device or host.", valueName: "memory"))
    var peerTx = MemoryArgument.host

    @Flag(
        name: .long, help: "Payload both ways at once; a way that is not said is plain TCP.")
    var duplex = false

    @Option(
        name: .long, help: ArgumentHelp("The most bytes of a send call.", valueName: "size"))
    var message: ByteSize?

    @Option(
        name: .long,
        help: ArgumentHelp("The largest segment, in bytes.", valueName: "bytes"))
    var mss: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("The congestion control algorithm.", valueName: "name"))
    var congestion: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Bits a second that each flow sends at most, such as 10G.", valueName: "bitrate"))
    var pace: BitRate?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Microseconds that a thread polls the NIC for before it sleeps.", valueName: "us"))
    var busyPoll: UInt32?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Time requests of so many bytes and responses of as many.", valueName: "size"))
    var requestResponse: ByteSize?

    @Flag(name: .customLong("validate"), help: "Compare payload with the pattern that is sent.")
    var validates = false

    @Option(
        name: .long,
        help: ArgumentHelp("Size of the dma-buf that an end receives into.", valueName: "size"))
    var memory = ByteSize(bytes: 64 << 20)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Bytes of the pieces that NICs fill, a power of two; large ones take huge pages.",
            valueName: "size"))
    var rxPageSize: ByteSize?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Run each thread of the far end on one of these processors.", valueName: "list"))
    var peerCpus: ProcessorList?

    @Option(
        name: .long,
        help: ArgumentHelp(
            """
            Have the far end's flows come from its address and this port on, for NICs whose flow \
            rules must name a connection whole.
            """, valueName: "addr:port"))
    var from: NumericSource?

    @OptionGroup var maker: ProviderOption

    func validate() throws {
        if time != nil && bytes != nil {
            throw ValidationError("--time and --bytes exclude each other.")
        }
        if peerRx == .nothing || peerTx == .nothing {
            throw ValidationError("--peer-rx and --peer-tx take device or host.")
        }
        do throws(DevmemError) {
            try plan.check()
        } catch {
            throw ValidationError("\(error.description).")
        }
    }

    /// The plan that the options make.
    var plan: BenchPlan {
        var plan = BenchPlan()
        let isBoth = duplex || requestResponse != nil
        let receives = rx ?? (tx == nil || tx == .nothing ? .device : .nothing)
        let sends = tx ?? .nothing
        func memory(_ choice: MemoryArgument) -> BenchMemory? {
            choice.memory ?? (isBoth ? .host : nil)
        }
        plan.inbound = memory(receives).map {
            BenchPlan.Direction(sender: peerTx.memory ?? .host, receiver: $0)
        }
        plan.outbound = memory(sends).map {
            BenchPlan.Direction(sender: $0, receiver: peerRx.memory ?? .host)
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
        plan.busyPoll = busyPoll
        plan.validates = validates
        plan.requestSize = requestResponse.map { Int(clamping: $0.bytes) }
        plan.memory = self.memory.bytes
        plan.pageSize = rxPageSize.map { UInt32(clamping: $0.bytes) }
        plan.source = from?.source
        plan.farProcessors = peerCpus?.processors ?? []
        return plan
    }
}

/// Where flows come from, on the command line: `192.0.2.2:40000` or `[2001:db8::2]:40000`, with
/// numbers only, as it is the far end that they mean something to.
struct NumericSource: OptionValue, Equatable {
    static let form =
        "ADDR:PORT or [IPV6]:PORT in numbers, such as 192.0.2.2:40000"

    var source: BenchPlan.Source

    init?(argument: String) {
        guard let text = SourceArgument(argument: argument), let port = text.port,
            let address = IPAddress(text: text.host)
        else { return nil }
        source = BenchPlan.Source(address: address.description, port: port)
    }
}

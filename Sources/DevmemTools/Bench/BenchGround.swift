import DevmemCore
import Logging

/// What an end of a benchmark takes on its host: the NIC's queues and the memory behind them.
final class BenchGround {
    /// What this end's user says of it.
    struct Choice: Sendable {
        /// Receive queues to bind.
        var queues = QueueChoice.automatic(1)
        /// What makes the dma-buf.
        var provider = MemoryProvider.automatic
        /// Whether steering that the NIC loses meanwhile is set again.
        var keepsSteered = false
    }

    /// The NIC.
    let interface: NetworkInterface
    /// The queues that receive; none if no payload comes to device memory.
    let queues: [UInt32]
    /// The memory that payload comes to, if it is the device's.
    let bound: BoundReceiveMemory?
    private var binding: ReceiveBinding?
    private var steering: SteeringTransaction?
    private var watch: BindingWatch?

    /// Steers flows to queues and binds memory to them, if payload comes to device memory.
    init(
        _ plan: BenchPlan, _ role: BenchRole, on interface: NetworkInterface, _ choice: Choice,
        flows: [SteeringFlow], logger: Logger
    ) throws(DevmemError) {
        self.interface = interface
        guard role.receives == .device else {
            queues = []
            bound = nil
            return
        }
        let memory = try DmabufMemory(
            size: plan.memory, provider: choice.provider, pageSize: plan.pageSize)
        let steering = try SteeringTransaction(
            applying: SteeringRequest(queues: choice.queues, flows: flows), to: interface,
            as: "devmemtcp bench", logger: logger)
        for note in steering.notes { logger.notice("\(interface.name): \(note)") }
        let taken = steering.queues
        let binding = try ReceiveBinding(
            dmabuf: memory.descriptor, interface: interface, queues: taken,
            pageSize: plan.pageSize)
        RingDemand(of: interface, queues: taken.count, pageSize: plan.pageSize)
            .warn(of: plan.memory, on: interface, logger: logger)
        queues = taken
        bound = BoundReceiveMemory(memory, id: binding.id)
        watch = BindingWatch(
            on: interface, bindingID: binding.id, queues: taken,
            keepsSteered: choice.keepsSteered, logger: logger)
        self.steering = consume steering
        self.binding = consume binding
    }

    /// The descriptor that tells of changes of the NIC; -1 if nothing is bound.
    var watchDescriptor: Int32 {
        switch watch {
        case .some(let open): open.rawValue
        case .none: -1
        }
    }

    /// Looks at what has changed on the NIC.
    ///
    /// - Throws: `DevmemError` with `ENODEV` if it is gone.
    func look() throws(DevmemError) {
        try watch?.look(&steering)
    }

    /// The page pools that the memory feeds.
    func pools() throws(DevmemError) -> [BenchEndReport.Pool] {
        guard let bound else { return [] }
        return try pagePools().filter { $0.dmabufID == bound.id }.map {
            BenchEndReport.Pool(
                id: $0.id, inFlight: $0.inFlight, inFlightBytes: $0.inFlightBytes)
        }
    }

    /// Says of payload how much came in device memory, and why the rest did not.
    ///
    /// - Parameters:
    ///   - counts: what came.
    ///   - peer: where it came from.
    ///   - napiID: the NAPI instance that a connection's last packet came through.
    /// - Returns: nil if no payload was to come in device memory.
    func placement(
        of counts: ReceiveCounts, from peer: IPAddress?, through napiID: UInt32?
    ) -> PayloadPlacement? {
        guard let bound else { return nil }
        var reason: String?
        if counts.deviceBytes < counts.bytes {
            let stream = MisplacedStream(counts, from: peer, through: napiID)
            reason =
                switch steering {
                case .some(let transaction):
                    PlacementReason.text { () throws(DevmemError) in
                        try transaction.reason(for: stream, on: interface, bindingID: bound.id)
                    }
                case .none: nil
                }
        }
        return PayloadPlacement(counts, reason: reason)
    }

    /// Puts everything back; connections must be gone.
    ///
    /// - Throws: `DevmemError`, the first setting that could not be put back.
    func release() throws(DevmemError) {
        // The kernel lets header split be turned off only when nothing is bound.
        binding = nil
        try steering?.restore()
        steering = nil
    }
}

extension QueueChoice {
    /// How many queues it asks for.
    var count: Int {
        switch self {
        case .list(let queues): queues.count
        case .last(let count), .automatic(let count): count
        }
    }
}

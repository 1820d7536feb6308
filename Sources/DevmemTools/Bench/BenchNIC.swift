import DevmemCore
import Logging

/// The NIC of one end of a benchmark, with memory bound to it if payload comes to device memory.
final class BenchNIC {
    /// What this end's user says about it.
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
    let memory: BoundMemory?
    private var nic: BoundNIC?

    /// Steers flows to queues and binds memory to them, if payload comes to device memory.
    init(
        _ plan: BenchPlan, _ role: BenchRole, on interface: NetworkInterface, _ choice: Choice,
        flows: [SteeringFlow], logger: Logger
    ) throws(DevmemError) {
        self.interface = interface
        guard role.receives == .device else {
            queues = []
            memory = nil
            return
        }
        let nic = try BoundNIC(
            binding: try DmabufMemory(
                size: plan.memory, provider: choice.provider, pageSize: plan.pageSize),
            to: interface,
            BindRequest(
                queues: choice.queues, pageSize: plan.pageSize,
                steering: SteeringRequest(queues: choice.queues, flows: flows),
                watch: choice.keepsSteered ? .renews : .logs, command: "devmemtcp bench"),
            logger: logger)
        for note in nic.notes { logger.notice("\(interface.name): \(note)") }
        queues = nic.queues
        memory = nic.memory
        self.nic = consume nic
    }

    /// The descriptor that tells of changes of the NIC; -1 if nothing is bound.
    var watchDescriptor: Int32 {
        switch nic {
        case .some(let bound): bound.watchDescriptor
        case .none: -1
        }
    }

    /// Looks at what has changed on the NIC.
    ///
    /// - Throws: `DevmemError` with `ENODEV` if it is gone.
    func look() throws(DevmemError) {
        try nic?.look()
    }

    /// The page pools that the memory feeds.
    func pools() throws(DevmemError) -> [BenchEndReport.Pool] {
        guard let memory else { return [] }
        return try pagePools().filter { $0.dmabufID == memory.id }.map {
            BenchEndReport.Pool(
                id: $0.id, inFlight: $0.inFlight, inFlightBytes: $0.inFlightBytes)
        }
    }

    /// Says of payload how much came in device memory; nil if none was to come there.
    func placement(
        of counts: ReceiveCounts, in stream: @autoclosure () -> MisplacedStream
    ) -> PayloadPlacement? {
        switch nic {
        case .some(let bound): bound.placement(of: counts, in: stream())
        case .none: nil
        }
    }

    /// Undoes everything; connections must be gone.
    ///
    /// - Parameters:
    ///   - failure: the failure of this end's report, which stays if there is one.
    ///   - isShown: whether that failure is shown; otherwise the log tells what failed.
    func release(reportingIn failure: inout String?, isShown: Bool) {
        switch nic.take() {
        case .some(let bound): bound.release(reportingIn: &failure, isShown: isShown)
        case .none: break
        }
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

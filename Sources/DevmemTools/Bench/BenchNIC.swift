import DevmemCore
import Logging

/// The NIC of one side of a benchmark, with bound memory if payload is received into device memory.
final class BenchNIC {
    /// The choices of this side's user.
    struct Choice: Sendable {
        /// The receive queues to bind.
        var queues = QueueChoice.automatic(1)
        /// The provider of the dma-buf.
        var provider = MemoryProvider.automatic
        /// Whether to restore steering that the NIC loses meanwhile.
        var keepsSteered = false
    }

    /// The NIC.
    let interface: NetworkInterface
    /// The receive queues; none if no payload is received into device memory.
    let queues: [UInt32]
    /// The device memory to receive into, if any.
    let memory: BoundMemory?
    /// The way in which payload is received into device memory, if any.
    let engine: ReceiveEngine?
    /// Why that engine was chosen; nil if the plan names it.
    let engineReason: String?
    /// Where a thread's memory to send from comes from.
    let provider: MemoryProvider
    private var nic: BoundNIC?

    /// Steers flows and binds memory, if payload is received into device memory.
    init(
        _ plan: BenchPlan, _ role: BenchRole, on interface: NetworkInterface, _ choice: Choice,
        flows: [SteeringFlow], logger: Logger
    ) throws(DevmemError) {
        self.interface = interface
        provider = choice.provider
        guard role.receives == .device else {
            queues = []
            memory = nil
            engine = nil
            engineReason = nil
            return
        }
        var request = BindRequest(
            queues: .steered(SteeringRequest(queues: choice.queues, flows: flows)),
            pageSize: plan.pageSize, watch: choice.keepsSteered ? .renews : .logs,
            command: "devmemtcp bench")
        request.engine = plan.engine ?? .socket
        let nic = try BoundNIC.allocating(
            plan.memory, from: choice.provider, on: interface, request, logger: logger)
        // Not in the time that is measured.
        if plan.validates {
            try nic.memory.dmabuf.prepareToCompare(
                with: try Pattern("\(ValidationPeerRequest.period)").bytes, logger)
        }
        for note in nic.notes { logger.notice("\(interface.name): \(note)") }
        queues = nic.queues
        memory = nic.memory
        engine = nic.engine
        engineReason = nic.engineReason
        self.nic = consume nic
    }

    /// The descriptor that polls as readable on changes of the NIC; -1 if nothing is bound.
    var watchDescriptor: Int32 {
        switch nic {
        case .some(let bound): bound.watchDescriptor
        case .none: -1
        }
    }

    /// Handles changes of the NIC.
    ///
    /// - Throws: `DevmemError` with `ENODEV` if the NIC has disappeared.
    func handleChanges() throws(DevmemError) {
        try nic?.handleChanges()
    }

    /// Returns the page pools on the memory.
    func pools() throws(DevmemError) -> [BenchEndReport.Pool] {
        guard let memory else { return [] }
        return try pagePools().filter {
            engine == .ioUring
                ? $0.hasIOUring && $0.interface == interface.index : $0.dmabufID == memory.id
        }.map {
            BenchEndReport.Pool(
                id: $0.id, inFlight: $0.inFlight, inFlightBytes: $0.inFlightBytes)
        }
    }

    /// Returns the counters of the NIC's queues; none if the driver has none.
    ///
    /// - Throws: `DevmemError` of kind `netlink` if the kernel refuses; of kind `system` with `ENODEV`
    ///   if the NIC has disappeared.
    func counters() throws(DevmemError) -> [QueueStatistics] {
        do throws(DevmemError) {
            return try queueStatistics(ofInterface: interface.index) ?? []
        } catch {
            switch nic {
            case .some(let bound): throw bound.explainingAbsence(error)
            case .none: throw error
            }
        }
    }

    /// Describes how much payload arrived in device memory; nil if host memory was requested.
    func placement(
        of counts: ReceiveCounts, in stream: @autoclosure () -> MisplacedStream
    ) -> PayloadPlacement? {
        switch nic {
        case .some(let bound): bound.placement(of: counts, in: stream())
        case .none: nil
        }
    }

    /// Unbinds the memory and restores the NIC; connections must be closed before.
    ///
    /// - Parameters:
    ///   - failure: the failure in this side's report; an earlier one is kept.
    ///   - isShown: whether the report's failure is printed; otherwise a failure is logged.
    func release(reportingIn failure: inout String?, isShown: Bool) {
        switch nic.take() {
        case .some(let bound): bound.release(reportingIn: &failure, isShown: isShown)
        case .none: break
        }
    }
}

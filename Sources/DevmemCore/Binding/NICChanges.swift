import Logging
import SystemPackage

/// The changes made to a NIC, undone in the order that the kernel requires.
final class NICChanges {
    let interface: NetworkInterface
    let logger: Logger
    private var steering: SteeringTransaction?
    private var receive: ReceiveBinding?
    private var transmit: TransmitBinding?
    private var zerocopy: ZerocopyQueues?
    private var watch: BindingMonitor?
    /// The queues of an interface that has leased ones, and so cannot be steered.
    private var leased: LeasedQueues?

    init(on interface: NetworkInterface, logger: Logger) {
        self.interface = interface
        self.logger = logger
    }

    /// Chooses the queues of a request, and steers the NIC for them if requested.
    func chooseQueues(for request: BindRequest) throws(DevmemError) -> [UInt32] {
        if let choice = request.queues.checked, let found = try LeasedQueues(of: interface) {
            leased = found
            return try found.choose(choice)
        }
        switch request.queues {
        case .none: return []
        case .steered(let wanted):
            let steering = try SteeringTransaction(
                applying: wanted, to: interface, as: request.command, store: request.store,
                logger: logger)
            let queues = steering.queues
            self.steering = consume steering
            return queues
        case .unsteered(let choice):
            try interface.requireNIC("choose queues of")
            return try QueueChooser(
                snapshot: NICSnapshot(choosingQueuesOf: interface), interface: interface.name,
                applied: nil
            ).choose(choice)
        case .unchecked(.list(let queues)): return queues
        case .unchecked(.last(let count)), .unchecked(.automatic(let count)):
            let queues = try receiveQueues(of: interface).suffix(count)
            guard !queues.isEmpty else {
                throw DevmemError(
                    .invalid, call: "choose queues of \(interface.name)",
                    message: "it has no queues while it is down")
            }
            return Array(queues)
        }
    }

    /// Binds a dma-buf to receive queues, if there are any.
    ///
    /// - Returns: the id of the binding; nil without queues.
    func bindReceive(
        _ memory: borrowing DmabufMemory, to queues: [UInt32], pageSize: UInt32?
    ) throws(DevmemError) -> UInt32? {
        guard !queues.isEmpty else { return nil }
        let binding: ReceiveBinding
        do throws(DevmemError) {
            binding = try ReceiveBinding(
                dmabuf: memory.descriptor, interface: interface, queues: queues, pageSize: pageSize)
        } catch {
            // Of rings that need more than the dma-buf has, a driver reports only ENOMEM.
            if error.errno == .noMemory {
                RingDemand(of: interface, queues: queues.count, pageSize: pageSize)
                    .warn(of: memory.size, on: interface, logger: logger)
            }
            throw error.explainingBufferSize(pageSize)
        }
        let id = binding.id
        receive = consume binding
        return id
    }

    /// Lets io_uring receive into a dma-buf, if that is wanted and can be.
    ///
    /// - Returns: the queues, which threads join, nil for the socket engine; and why, if the choice
    ///   was free.
    func bindZerocopy(
        _ memory: borrowing DmabufMemory, to queues: [UInt32], pageSize: UInt32?,
        _ choice: ReceiveEngineChoice
    ) throws(DevmemError) -> (ZerocopyQueues?, reason: String?) {
        guard choice != .socket, !queues.isEmpty else { return (nil, nil) }
        let obstacle =
            ZerocopySupport.obstacle(pageSize: pageSize)
            ?? ZerocopySupport.obstacle(queues: queues.count, parts: memory.parts)
        let isForced = choice == .ioUring
        if let obstacle {
            guard isForced else { return (nil, "io_uring is not used: \(obstacle)") }
            throw DevmemError(
                .unsupported, call: "receive by io_uring on \(interface.name)", message: obstacle)
        }
        do throws(DevmemError) {
            let held = try ZerocopyQueues(
                memory, of: interface, queues: queues, pageSize: pageSize, logger: logger)
            zerocopy = held
            return (held, isForced ? nil : ZerocopySupport.benefit)
        } catch {
            guard isForced else { return (nil, "io_uring is not used: \(error)") }
            throw error.explainingBufferSize(pageSize)
        }
    }

    /// Binds a dma-buf for sending.
    ///
    /// - Returns: the id of the binding.
    func bindTransmit(_ memory: borrowing DmabufMemory) throws(DevmemError) -> UInt32 {
        try interface.requireNIC("send through")
        let binding = try TransmitBinding(dmabuf: memory.descriptor, interface: interface)
        let id = binding.id
        transmit = consume binding
        return id
    }

    /// Starts watching the NIC.
    func watch(provider: QueueProvider?, queues: [UInt32], keepsSteered: Bool) {
        // The kernel does not tell who holds leased queues.
        watch = BindingMonitor(
            on: interface, provider: leased == nil ? provider : nil, queues: queues,
            keepsSteered: keepsSteered, logger: logger)
    }

    /// The descriptor that becomes readable when the NIC may have changed; -1 if it is not watched.
    var watchDescriptor: Int32 {
        switch watch {
        case .some(let open): open.rawValue
        case .none: -1
        }
    }

    /// Handles changes to the NIC.
    func handleChanges() throws(DevmemError) {
        try watch?.handleChanges(&steering)
    }

    var notes: [String] {
        switch steering {
        case .some(let transaction): transaction.notes
        case .none: leased == nil ? [] : [LeasedQueues.note]
        }
    }

    func reason(for stream: MisplacedStream, provider: QueueProvider) -> String? {
        switch steering {
        case .some(let transaction):
            PlacementReason.text { () throws(DevmemError) in
                try transaction.reason(for: stream, on: interface, provider: provider)
            }
        case .none: leased == nil ? nil : LeasedQueues.placementReason
        }
    }

    func unbind() {
        receive = nil
        transmit = nil
        zerocopy?.release(logger)
        zerocopy = nil
    }

    /// Undoes all changes; the memory stays. Further calls do nothing.
    func undo() throws(DevmemError) -> SteeringRestoration {
        // The kernel allows header split to be turned off only while nothing is bound.
        unbind()
        defer {
            steering = nil
            watch = nil
        }
        return try steering?.restore(unlessRemoved: isRemoved) ?? SteeringRestoration()
    }

    /// Whether a NIC that answers with `ENODEV` is gone along with its settings.
    private func isRemoved() -> Bool { watch?.isRemoved() ?? false }

    /// Returns what an error of a NIC that is gone means.
    func explainingAbsence(_ error: DevmemError) -> DevmemError {
        guard error.errno == .operationNotSupportedByDevice, isRemoved() else { return error }
        return BindingMonitor.absence(of: interface, isMoved: false)
    }

    /// Undoes all changes and logs a failure, for a caller that has another error to report or none
    /// to report to.
    func undoLoggingErrors() {
        do throws(DevmemError) { _ = try undo() } catch { logger.error("\(error)") }
    }
}

extension DevmemError {
    /// Whether the kernel or a driver may have refused the size of a NIC's buffers: drivers have their
    /// own limits and say only that a number is wrong (`ndo_validate_qcfg`).
    var mayBeOfBufferSize: Bool {
        let codes: Set<Errno?> = [.invalidArgument, .notSupported, .outOfRange, .argListTooLong]
        return codes.contains(errno)
    }

    /// Returns the error of a bind request with advice on the size of the buffers, if it may be the
    /// cause: queues were chosen from those that exist.
    ///
    /// - Parameter size: the size in bytes; nil for one page, which no driver refuses.
    /// - Returns: the error.
    func explainingBufferSize(_ size: UInt32?) -> DevmemError {
        guard let size, size > systemPageSize, mayBeOfBufferSize else { return self }
        var copy = self
        copy.advice =
            """
            the driver may not fill buffers of \(ByteCount.exact(UInt64(size))): choose a smaller size, \
            or leave it out
            """
        return copy
    }
}

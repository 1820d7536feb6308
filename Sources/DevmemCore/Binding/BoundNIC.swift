public import Logging

/// A dma-buf, or several, bound to a NIC, together with the steering for it.
///
/// Releasing it stops the watch, unbinds the memory, restores the NIC's settings and frees the
/// memory, in this order: the kernel refuses to turn header split off while memory is bound. The
/// deinitializer does the same and logs failures.
public struct BoundNIC: ~Copyable {
    /// The NIC.
    public let interface: NetworkInterface
    /// The bound receive queues.
    public let queues: [UInt32]
    /// The receive queues that are configured but not bound.
    package let unboundQueues: [UInt32]
    /// The memory, to share with threads that receive into it or send from it.
    public let memory: BoundMemory
    /// The memory that the rings of the bound queues need; zero if the NIC is not watched.
    package let rings: RingDemand
    /// The size in bytes of the buffers that the NIC fills; nil for one page.
    package let pageSize: UInt32?
    /// Why the choice between engines was made; nil if the request made it.
    package private(set) var engineReason: String?
    private let setup: NICChanges

    /// Allocates memory for the request, steers the NIC and binds the memory to it.
    ///
    /// - Parameters:
    ///   - size: the size of the memory in bytes, a multiple of the page size; io_uring may need a
    ///     little more for several queues.
    ///   - provider: where the memory comes from.
    ///   - interface: the NIC.
    ///   - request: the queues and other options.
    ///   - logger: as for `init(binding:to:_:logger:)`.
    /// - Returns: the NIC.
    /// - Throws: `DevmemError` if memory, steering or binding fails; the NIC's settings are restored
    ///   first.
    public static func allocating(
        _ size: UInt64, from provider: MemoryProvider = .automatic,
        on interface: NetworkInterface, _ request: BindRequest, logger: Logger
    ) throws(DevmemError) -> BoundNIC {
        let queues = request.queues.count - request.unboundQueues
        var request = request
        var reason: String?
        // The memory depends on the engine.
        if queues > 1, request.engine != .socket {
            let isForced = request.engine == .ioUring
            do throws(DevmemError) {
                request.engine = .ioUring
                var nic = try BoundNIC(
                    binding: DmabufMemory(
                        near: interface, size: size, provider: provider,
                        pageSize: request.pageSize, parts: queues, logger: logger),
                    to: interface, request, logger: logger)
                if !isForced { nic.engineReason = ZerocopySupport.benefit }
                return nic
            } catch {
                guard !isForced else { throw error }
                reason = "io_uring is not used: \(error)"
                request.engine = .socket
            }
        }
        var nic = try BoundNIC(
            binding: DmabufMemory(
                near: interface, size: size, provider: provider, pageSize: request.pageSize,
                logger: logger),
            to: interface, request, logger: logger)
        if let reason { nic.engineReason = reason }
        return nic
    }

    /// Steers the NIC and binds memory to it.
    ///
    /// - Parameters:
    ///   - memory: the dma-buf; for io_uring, with a part for each queue.
    ///   - interface: the NIC.
    ///   - request: the queues and other options.
    ///   - logger: logs each change to the NIC at level debug, and changes by others while the
    ///     memory is bound at level warning.
    /// - Throws: `DevmemError` if steering or binding fails; the NIC's settings are restored first.
    public init(
        binding memory: consuming DmabufMemory, to interface: NetworkInterface,
        _ request: BindRequest, logger: Logger
    ) throws(DevmemError) {
        let setup = NICChanges(on: interface, logger: logger)
        let chosen: [UInt32]
        let bound: [UInt32]
        var receiveID: UInt32?
        let engineReason: String?
        var transmitID: UInt32?
        let zerocopy: ZerocopyQueues?
        do throws(DevmemError) {
            chosen = try setup.chooseQueues(for: request)
            bound = chosen.dropLast(request.unboundQueues)
            (zerocopy, engineReason) = try setup.bindZerocopy(
                memory, to: bound, pageSize: request.pageSize, request.engine)
            if zerocopy == nil {
                receiveID = try setup.bindReceive(memory, to: bound, pageSize: request.pageSize)
            }
            if request.transmits { transmitID = try setup.bindTransmit(memory) }
        } catch {
            // The caller needs the first failure; another one is only logged.
            setup.undoLoggingErrors()
            throw error
        }
        if request.watch == .off {
            rings = RingDemand([:], queues: 0, pageSize: nil)
        } else {
            rings = RingDemand(of: interface, queues: bound.count, pageSize: request.pageSize)
            rings.warn(of: memory.size, on: interface, logger: logger)
            setup.watch(
                provider: zerocopy == nil ? receiveID.map(QueueProvider.binding) : .ioUring,
                queues: bound, keepsSteered: request.watch == .renews)
        }
        self.interface = interface
        self.queues = bound
        self.unboundQueues = Array(chosen.dropFirst(bound.count))
        self.memory = BoundMemory(
            memory, receiveID: receiveID, transmitID: transmitID, zerocopy: zerocopy)
        self.engineReason = engineReason
        pageSize = request.pageSize
        self.setup = setup
    }

    /// The way in which payload is received.
    public var engine: ReceiveEngine { memory.zerocopy == nil ? .socket : .ioUring }

    deinit { setup.undoLoggingErrors() }

    /// Notes on the steering, one sentence each, that are not errors.
    public var notes: [String] { setup.notes }

    /// The descriptor that becomes readable when the NIC may have changed; -1 if it is not watched.
    public var watchDescriptor: Int32 { setup.watchDescriptor }

    /// Checks the NIC for changes, logs them, and restores lost steering if the request says so.
    ///
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC, and so the binding, is
    ///   gone.
    public func handleChanges() throws(DevmemError) { try setup.handleChanges() }

    /// Returns what an error means if the NIC is gone; otherwise the same error.
    package func explainingAbsence(_ error: DevmemError) -> DevmemError {
        setup.explainingAbsence(error)
    }

    /// Explains why payload of a stream arrived outside device memory.
    ///
    /// - Parameter stream: the stream.
    /// - Returns: a sentence without a full stop; nil if the NIC was not steered for the stream.
    package func reason(for stream: MisplacedStream) -> String? {
        setup.reason(for: stream, provider: engine == .ioUring ? .ioUring : .binding(memory.id))
    }

    /// Unbinds the memory but leaves the NIC steered; connections keep the payload that they hold.
    public func unbind() { setup.unbind() }

    /// Unbinds the memory and restores the NIC's settings. Close connections that use it first.
    ///
    /// - Returns: what was restored, and which settings others had changed.
    /// - Throws: `DevmemError` with the first setting that could not be restored.
    @discardableResult
    public consuming func release() throws(DevmemError) -> SteeringRestoration { try setup.undo() }

    /// Releases this value at the end of a session that has a report.
    ///
    /// - Parameters:
    ///   - failure: the report's failure, set if it is nil.
    ///   - isShown: whether the report's failure is shown; otherwise the error is logged.
    package consuming func release(reportingIn failure: inout String?, isShown: Bool) {
        let logger = setup.logger
        do throws(DevmemError) {
            try release()
        } catch {
            error.noteRestoreFailure(in: &failure, isShown: isShown, logger: logger)
        }
    }
}

extension BoundNIC {
    /// The result of a wait.
    package enum Wait {
        /// A signal arrived.
        case signal(StopSignal.Arrival)
        /// The descriptor is readable.
        case ready
    }

    /// Waits for a signal while the memory is bound, and logs changes to the NIC.
    ///
    /// - Parameter stop: the signals.
    /// - Returns: the signal number.
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away, or if poll(2)
    ///   fails.
    public func hold(until stop: borrowing StopSignal) throws(DevmemError) -> Int32 {
        try hold(until: stop, serving: nil)
    }

    /// Does the same, and hands the dma-buf over to programs that ask for it.
    package func hold(
        until stop: borrowing StopSignal, serving server: DmabufServer?
    ) throws(DevmemError) -> Int32 {
        while true {
            // poll(2) ignores descriptor -1.
            if case .signal(let arrival) = try hold(until: stop, orReading: -1, serving: server) {
                return arrival.signal
            }
        }
    }

    /// Waits for a signal or a readable descriptor while the memory is bound, logs changes to the
    /// NIC, and hands the dma-buf over to programs that ask for it.
    ///
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away, or if poll(2)
    ///   fails.
    package func hold(
        until stop: borrowing StopSignal, orReading number: Int32,
        serving server: DmabufServer? = nil
    ) throws(DevmemError) -> Wait {
        var watched = PollSet<4>()
        watched.watch(0, stop.rawValue)
        watched.watch(1, number)
        watched.watch(2, watchDescriptor)
        watched.watch(3, server?.rawValue)
        while true {
            try watched.wait()
            if !watched.ready(0).isEmpty, let arrival = stop.arrival() { return .signal(arrival) }
            if !watched.ready(1).isEmpty { return .ready }
            if !watched.ready(2).isEmpty { try handleChanges() }
            if !watched.ready(3).isEmpty { server?.serve() }
        }
    }
}

public import Logging

/// A dma-buf bound to a NIC, and the NIC steered for it, as one value.
///
/// Releasing it stops the watch, unbinds the memory, restores the NIC's settings and frees the
/// memory, in this order: the kernel does not let header split be turned off while anything is
/// bound. A value that goes away unreleased does the same, and logs what fails.
public struct BoundNIC: ~Copyable {
    /// The NIC.
    public let interface: NetworkInterface
    /// The receive queues that the memory is bound to.
    public let queues: [UInt32]
    /// The receive queues that are set up and not bound.
    package let spares: [UInt32]
    /// The memory, for threads that receive into it or send from it.
    public let memory: BoundMemory
    /// What the rings of the bound queues take of the memory; known only if the NIC is watched.
    package let rings: RingDemand
    private let setup: NICSetup

    /// Steers the NIC and binds memory to it.
    ///
    /// - Parameters:
    ///   - memory: the dma-buf.
    ///   - interface: the NIC.
    ///   - request: which queues, and how.
    ///   - logger: receives each change of the NIC at level debug, and at level warning what
    ///     changes while the memory is bound.
    /// - Throws: `DevmemError` as steering or the kernel's answer to a binding fails; whatever was
    ///   changed is restored first.
    public init(
        binding memory: consuming DmabufMemory, to interface: NetworkInterface,
        _ request: BindRequest, logger: Logger
    ) throws(DevmemError) {
        let setup = NICSetup(on: interface, logger: logger)
        let taken: [UInt32]
        let bound: [UInt32]
        let receiveID: UInt32?
        var transmitID: UInt32?
        do throws(DevmemError) {
            taken = try setup.take(request)
            bound = taken.dropLast(request.spareQueues)
            receiveID = try setup.bindReceive(memory, to: bound, pageSize: request.pageSize)
            if request.transmits { transmitID = try setup.bindTransmit(memory) }
        } catch {
            // What failed first is what the caller needs.
            setup.undoOrLog()
            throw error
        }
        if request.watch == .off {
            rings = RingDemand([:], queues: 0, pageSize: nil)
        } else {
            rings = RingDemand(of: interface, queues: bound.count, pageSize: request.pageSize)
            rings.warn(of: memory.size, on: interface, logger: logger)
            setup.watch(
                bindingID: receiveID, queues: bound, keepsSteered: request.watch == .renews)
        }
        self.interface = interface
        self.queues = bound
        self.spares = Array(taken.dropFirst(bound.count))
        self.memory = BoundMemory(memory, receiveID: receiveID, transmitID: transmitID)
        self.setup = setup
    }

    deinit { setup.undoOrLog() }

    /// What is no hindrance but worth knowing about the steering, a sentence each.
    public var notes: [String] { setup.notes }

    /// The descriptor that becomes readable when the NIC may have changed; -1 if it is not watched.
    public var watchDescriptor: Int32 { setup.watchDescriptor }

    /// Looks at what has changed, logs it, and renews lost steering if the request says so.
    ///
    /// - Throws: `DevmemError` with `ENODEV` if the NIC is gone, and the binding with it.
    public func look() throws(DevmemError) { try setup.look() }

    /// Says why payload of a stream came outside device memory.
    ///
    /// - Parameter stream: what is known of the stream.
    /// - Returns: a sentence without a full stop; nil if the NIC was not steered for the stream.
    package func reason(for stream: MisplacedStream) -> String? {
        setup.reason(for: stream, bindingID: memory.id)
    }

    /// Unbinds the memory and leaves the NIC steered; connections keep the payload that they have.
    public func unbind() { setup.unbind() }

    /// Unbinds the memory and restores the NIC's settings. Connections that use it must be closed.
    ///
    /// - Returns: what was restored, and what someone else had changed meanwhile.
    /// - Throws: `DevmemError`, the first setting that could not be restored.
    @discardableResult
    public consuming func release() throws(DevmemError) -> SteeringRestoration { try setup.undo() }

    /// Releases it at the end of a session that has a report.
    ///
    /// - Parameters:
    ///   - failure: the report's failure, which stays if there is one.
    ///   - isShown: whether the report's failure is shown; otherwise the log tells what failed.
    package consuming func release(reportingIn failure: inout String?, isShown: Bool) {
        let logger = setup.logger
        do throws(DevmemError) {
            try release()
        } catch {
            RestorationFailure(error: error).note(in: &failure, isShown: isShown, logger: logger)
        }
    }
}

extension BoundNIC {
    /// How a wait ended.
    package enum Wait {
        /// A signal came.
        case signal(StopSignal.Arrival)
        /// The descriptor can be read.
        case ready
    }

    /// Holds the memory until a signal comes, and logs what changes on the NIC meanwhile.
    ///
    /// - Parameter stop: the signals.
    /// - Returns: the signal.
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away.
    public func hold(until stop: borrowing StopSignal) throws(DevmemError) -> Int32 {
        while true {
            // No descriptor has the number -1; poll(2) leaves it out.
            if case .signal(let arrival) = try hold(until: stop, orReading: -1) {
                return arrival.signal
            }
        }
    }

    /// Holds the memory until a signal comes or a descriptor can be read, and logs what changes on
    /// the NIC meanwhile.
    ///
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away.
    package func hold(
        until stop: borrowing StopSignal, orReading number: Int32
    ) throws(DevmemError) -> Wait {
        while true {
            switch try stop.wait(reading: number, or: watchDescriptor) {
            case .signal(let arrival): return .signal(arrival)
            case .first: return .ready
            case .second: try look()
            }
        }
    }
}

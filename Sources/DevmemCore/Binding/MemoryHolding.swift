import Glibc
package import Logging

/// What memory to bind to a NIC, and how.
package struct BindRequest: Sendable {
    /// Receive queues to bind; nil for none.
    package var queues: QueueChoice?
    /// Whether the memory may be sent from.
    package var transmits: Bool
    /// Size of the dma-buf in bytes.
    package var memory: UInt64
    /// What makes the dma-buf.
    package var provider: MemoryProvider
    /// Bytes of the pieces that the NIC fills; nil for one page.
    package var pageSize: UInt32?
    /// How to steer the NIC; its queues do not count. Nil to leave its settings alone.
    package var steering: SteeringRequest?
    /// Whether steering that the NIC loses meanwhile is set again.
    package var keepsSteered: Bool

    /// Makes a request from its parts.
    package init(
        queues: QueueChoice?, transmits: Bool, memory: UInt64,
        provider: MemoryProvider = .automatic, pageSize: UInt32?, steering: SteeringRequest?,
        keepsSteered: Bool = false
    ) {
        self.queues = queues
        self.transmits = transmits
        self.memory = memory
        self.provider = provider
        self.pageSize = pageSize
        self.steering = steering
        self.keepsSteered = keepsSteered
    }
}

/// A dma-buf bound to a NIC, with the NIC steered for it if that is asked for; all of it is undone
/// when this value is released or goes away.
package struct MemoryHolding: ~Copyable {
    /// The dma-buf.
    package let memory: DmabufMemory
    /// The receive queues that it is bound to.
    package let queues: [UInt32]
    // Declared in the order in which they must go: the kernel lets header split be turned off only
    // when nothing is bound.
    private var receive: ReceiveBinding?
    private var transmit: TransmitBinding?
    private var steering: SteeringTransaction?
    private var watch: BindingWatch

    /// Steers the NIC, makes a dma-buf and binds it.
    ///
    /// - Parameters:
    ///   - request: what to bind.
    ///   - interface: the NIC.
    ///   - logger: is told of each change of the NIC at level debug.
    /// - Throws: `DevmemError` as steering, memory or the binding fail; nothing is left then.
    package init(
        _ request: BindRequest, on interface: NetworkInterface, logger: Logger
    ) throws(DevmemError) {
        let memory = try DmabufMemory(
            size: request.memory, provider: request.provider, pageSize: request.pageSize)
        let steering = try Self.steer(request, interface, logger)
        let queues = try Self.queues(request, steering, interface)
        let receive = try Self.bindReceive(memory, queues, request.pageSize, interface)
        let transmit = try Self.bindTransmit(memory, request.transmits, interface)
        RingDemand(of: interface, queues: queues.count, pageSize: request.pageSize)
            .warn(of: request.memory, on: interface, logger: logger)
        let id: UInt32? =
            switch receive {
            case .some(let binding): binding.id
            case .none: nil
            }
        watch = BindingWatch(
            on: interface, bindingID: id, queues: queues, keepsSteered: request.keepsSteered,
            logger: logger)
        self.memory = memory
        self.queues = queues
        self.steering = steering
        self.receive = receive
        self.transmit = transmit
    }

    /// How a wait of a holding ended.
    package enum Wait {
        /// A signal came.
        case signal(StopSignal.Arrival)
        /// The descriptor can be read.
        case ready
    }

    /// Holds the memory until a signal comes, and says what changes on the NIC meanwhile.
    ///
    /// - Parameter stop: the signals.
    /// - Returns: the signal.
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away.
    package mutating func hold(until stop: borrowing StopSignal) throws(DevmemError) -> Int32 {
        while true {
            // No descriptor has the number -1; poll(2) leaves it out.
            if case .signal(let arrival) = try hold(until: stop, orReading: -1) {
                return arrival.signal
            }
        }
    }

    /// Holds the memory until a signal comes or a descriptor can be read, and says what changes on the
    /// NIC meanwhile.
    ///
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away.
    package mutating func hold(
        until stop: borrowing StopSignal, orReading number: Int32
    ) throws(DevmemError) -> Wait {
        while true {
            switch try stop.wait(reading: number, or: watch.rawValue) {
            case .signal(let arrival): return .signal(arrival)
            case .first: return .ready
            case .second: try watch.look(&steering)
            }
        }
    }

    /// The kernel's id of the binding for receiving, if there is one.
    package var receiveID: UInt32? {
        switch receive {
        case .some(let binding): binding.id
        case .none: nil
        }
    }

    /// The kernel's id of the binding for sending, if there is one.
    package var transmitID: UInt32? {
        switch transmit {
        case .some(let binding): binding.id
        case .none: nil
        }
    }

    /// What is no hindrance but worth knowing, a sentence each.
    package var notes: [String] {
        switch steering {
        case .some(let transaction): transaction.notes
        case .none: []
        }
    }

    /// Unbinds the memory and puts the NIC's settings back.
    ///
    /// - Throws: `DevmemError`, the first setting that could not be put back.
    package mutating func release() throws(DevmemError) {
        receive = nil
        transmit = nil
        try steering?.restore()
        steering = nil
    }

    private static func steer(
        _ request: BindRequest, _ interface: NetworkInterface, _ logger: Logger
    ) throws(DevmemError) -> SteeringTransaction? {
        guard let queues = request.queues, var wish = request.steering else { return nil }
        wish.queues = queues
        return try SteeringTransaction(
            applying: wish, to: interface, as: "devmemtcp bind", logger: logger)
    }

    private static func queues(
        _ request: BindRequest, _ steering: borrowing SteeringTransaction?,
        _ interface: NetworkInterface
    ) throws(DevmemError) -> [UInt32] {
        guard let choice = request.queues else { return [] }
        switch steering {
        case .some(let transaction): return transaction.queues
        case .none:
            try interface.requireNIC("take queues of")
            return try QueueChooser(
                snapshot: NICSnapshot(choosingQueuesOf: interface), interface: interface.name,
                applied: nil
            ).choose(choice)
        }
    }

    private static func bindReceive(
        _ memory: borrowing DmabufMemory, _ queues: [UInt32], _ pageSize: UInt32?,
        _ interface: NetworkInterface
    ) throws(DevmemError) -> ReceiveBinding? {
        guard !queues.isEmpty else { return nil }
        return try ReceiveBinding(
            dmabuf: memory.descriptor, interface: interface, queues: queues, pageSize: pageSize)
    }

    private static func bindTransmit(
        _ memory: borrowing DmabufMemory, _ wanted: Bool, _ interface: NetworkInterface
    ) throws(DevmemError) -> TransmitBinding? {
        guard wanted else { return nil }
        try interface.requireNIC("send through")
        return try TransmitBinding(dmabuf: memory.descriptor, interface: interface)
    }
}

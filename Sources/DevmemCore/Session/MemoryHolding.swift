import Glibc
public import Logging

/// What memory to bind to a NIC, and how.
public struct HoldingRequest: Sendable {
    /// Receive queues to bind; nil for none.
    public var queues: QueueChoice?
    /// Whether the memory may be sent from.
    public var transmits: Bool
    /// Size of the dma-buf in bytes.
    public var memory: UInt64
    /// What makes the dma-buf.
    public var provider: MemoryProvider
    /// Bytes of the pieces that the NIC fills; nil for one page.
    public var pageSize: UInt32?
    /// How to steer the NIC; its queues do not count. Nil to leave its settings alone.
    public var steering: SteeringWish?
    /// Whether steering that the NIC loses meanwhile is set again.
    public var keepsSteered: Bool

    /// Makes a request from its parts.
    public init(
        queues: QueueChoice?, transmits: Bool, memory: UInt64,
        provider: MemoryProvider = .automatic, pageSize: UInt32?, steering: SteeringWish?,
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
public struct MemoryHolding: ~Copyable {
    /// The dma-buf.
    public let memory: DmabufMemory
    /// The receive queues that it is bound to.
    public let queues: [UInt32]
    // Declared in the order in which they must go: the kernel lets header split be turned off only
    // when nothing is bound.
    private var receive: ReceiveBinding?
    private var transmit: TransmitBinding?
    private var steering: SteeringTransaction?
    private var watch: HoldWatch

    /// Steers the NIC, makes a dma-buf and binds it.
    ///
    /// - Parameters:
    ///   - request: what to bind.
    ///   - interface: the NIC.
    ///   - logger: is told of each change of the NIC at level debug.
    /// - Throws: `DevmemError` as steering, memory or the binding fail; nothing is left then.
    public init(
        _ request: HoldingRequest, on interface: NetworkInterface, logger: Logger
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
        watch = HoldWatch(
            on: interface, bindingID: id, queues: queues, keepsSteered: request.keepsSteered,
            logger: logger)
        self.memory = memory
        self.queues = queues
        self.steering = steering
        self.receive = receive
        self.transmit = transmit
    }

    /// Holds the memory until a signal comes, and says what changes on the NIC meanwhile.
    ///
    /// - Parameter stop: the signals.
    /// - Returns: the signal.
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC goes away.
    public mutating func hold(until stop: borrowing StopSignal) throws(DevmemError) -> Int32 {
        while true {
            // No descriptor has the number -1; poll(2) leaves it out.
            switch try stop.wait(reading: -1, or: watch.rawValue) {
            case .signal(let arrival): return arrival.signal
            case .first: continue
            case .second: try watch.look(&steering)
            }
        }
    }

    /// Holds the memory until a program ends, and says what changes on the NIC meanwhile. Signals are
    /// passed on as `ChildProcess.wait(passing:)` does. If the NIC goes away the program is asked to
    /// end, as nothing feeds it any more.
    ///
    /// - Parameters:
    ///   - child: the program.
    ///   - stop: signals that end this process.
    /// - Returns: how it ended.
    /// - Throws: `DevmemError` of kind `system`, with `ENODEV` if the NIC went away.
    public mutating func hold(
        for child: borrowing ChildProcess, passing stop: borrowing StopSignal
    ) throws(DevmemError) -> ChildProcess.End {
        var passing = ChildProcess.SignalCount()
        while true {
            switch try stop.wait(reading: child.rawValue, or: watch.rawValue) {
            case .signal(let arrival): child.pass(arrival, counting: &passing)
            case .first: return try child.reap()
            case .second:
                do throws(DevmemError) {
                    try watch.look(&steering)
                } catch {
                    child.send(SIGTERM)
                    _ = try child.wait(passing: stop)
                    throw error
                }
            }
        }
    }

    /// The kernel's id of the binding for receiving, if there is one.
    public var receiveID: UInt32? {
        switch receive {
        case .some(let binding): binding.id
        case .none: nil
        }
    }

    /// The kernel's id of the binding for sending, if there is one.
    public var transmitID: UInt32? {
        switch transmit {
        case .some(let binding): binding.id
        case .none: nil
        }
    }

    /// What is no hindrance but worth knowing, a sentence each.
    public var notes: [String] {
        switch steering {
        case .some(let transaction): transaction.notes
        case .none: []
        }
    }

    /// Unbinds the memory and puts the NIC's settings back.
    ///
    /// - Throws: `DevmemError`, the first setting that could not be put back.
    public mutating func release() throws(DevmemError) {
        receive = nil
        transmit = nil
        try steering?.restore()
        steering = nil
    }

    private static func steer(
        _ request: HoldingRequest, _ interface: NetworkInterface, _ logger: Logger
    ) throws(DevmemError) -> SteeringTransaction? {
        guard let queues = request.queues, var wish = request.steering else { return nil }
        wish.queues = queues
        return try SteeringTransaction(
            applying: wish, to: interface, as: "devmemtcp bind", logger: logger)
    }

    private static func queues(
        _ request: HoldingRequest, _ steering: borrowing SteeringTransaction?,
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

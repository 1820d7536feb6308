import Logging

/// The NIC and the listening sockets of a receive session.
struct ListeningNIC {
    let interface: NetworkInterface
    let listeners: ListenerGroup
    private let limits: ReceiveLimits
    /// Whether connections may wait while others are served.
    private var allowsWaiting: Bool { limits.continuesListening || limits.atOnce > 1 }

    /// Finds the NIC and binds the sockets, which accept no connections yet.
    ///
    /// - Parameters:
    ///   - request: the session's request.
    ///   - logger: logs addresses that are skipped at level notice.
    /// - Throws: `DevmemError` if the NIC or an address does not exist.
    init(_ request: ReceiveRequest, logger: Logger) throws(DevmemError) {
        let wanted = try Self.reachable(request)
        let interface = try Self.chooseInterface(request, wanted)
        let here = wanted.filter { Self.leads($0, to: interface, request) }
        for other in wanted where !here.contains(other) {
            logger.notice("not listening on \(other): it is not an address of \(interface.name)")
        }
        listeners = try ListenerGroup(binding: here) { logger.notice("\($0)") }
        self.interface = interface
        limits = request.limits
    }

    /// Configures the NIC for the session and binds memory to it, with the largest buffers that
    /// the request allows and the NIC takes.
    ///
    /// - Parameters:
    ///   - request: the session's request.
    ///   - refusal: set to why larger buffers were refused, if any were.
    ///   - logger: logs each change to the NIC at level debug.
    /// - Returns: the NIC.
    /// - Throws: `DevmemError` if memory, steering or binding fails.
    func bind(
        _ request: ReceiveRequest, refusal: inout String?, logger: Logger
    ) throws(DevmemError) -> BoundNIC {
        var sizes = request.pageSize.candidates(
            memory: request.memory,
            ring: RingDemand(of: interface, queues: request.queues.count, pageSize: nil).buffers)
        let last = sizes.removeLast()
        for size in sizes {
            do throws(DevmemError) {
                return try bind(request, pageSize: size, logger: logger)
            } catch {
                guard PageSizeChoice.isRefusal(error) else { throw error }
                refusal = refusal ?? error.description
            }
        }
        return try bind(request, pageSize: last, logger: logger)
    }

    private func bind(
        _ request: ReceiveRequest, pageSize: UInt32?, logger: Logger
    ) throws(DevmemError) -> BoundNIC {
        let flows = ReceiveRequest.flows(
            to: listeners.endpoints, from: request.from, port: request.fromPort)
        var binding = BindRequest(
            queues: request.steers
                ? .steered(
                    SteeringRequest(queues: request.queues, flows: flows, spread: request.spread))
                : .unchecked(request.queues),
            pageSize: pageSize, watch: request.keepsSteered ? .renews : .logs,
            command: request.command)
        binding.engine = request.engine
        let nic = try BoundNIC.allocating(
            request.memory, from: request.provider, on: interface, binding,
            logger: logger)
        for note in nic.notes { logger.notice("\(interface.name): \(note)") }
        return nic
    }

    /// Returns the limits on the memory that connections may hold.
    func budget(of nic: borrowing BoundNIC, logger: Logger) -> ReceiveBudget {
        // All connections may come to one queue, which may have only a part of the memory.
        let parts = UInt64(nic.memory.dmabuf.parts)
        let budget = ReceiveBudget(
            memory: nic.memory.dmabuf.size / parts, rings: nic.rings.bytes / parts,
            listeners: listeners.count,
            connections: limits.atOnce, keepsListening: allowsWaiting,
            initial: listeners.initialReceiveBuffer)
        logger.debug(
            """
            unread payload may hold \(ByteCount.text(budget.share)) of the dma-buf per connection; \
            \(budget.backlog + 1) may wait to be accepted, and hold \(ByteCount.text(budget.waiting))
            """)
        return budget
    }

    /// Starts listening for connections.
    func listen(
        _ budget: ReceiveBudget, _ listening: (Endpoint, String) -> Void
    ) throws(DevmemError) {
        if allowsWaiting { try listeners.setInitialReceiveBuffer(to: budget.initial) }
        try listeners.listen(backlog: budget.backlog)
        for endpoint in listeners.endpoints { listening(endpoint, interface.name) }
    }

    /// Limits the receive buffer of an accepted connection.
    ///
    /// - Returns: the limit; nil if the kernel's autotuning applies.
    func prepare(
        _ connection: borrowing Connection, _ request: ReceiveRequest, _ budget: ReceiveBudget
    ) throws(DevmemError) -> ReceiveBufferLimit? {
        // For a single connection the kernel tunes the buffer best. But if unread payload could
        // fill the memory, a lost packet could not be received again.
        if !allowsWaiting, let most = largestReceiveBuffer(), most <= budget.memory / 2 {
            return nil
        }
        return try connection.limitBuffers(to: budget.share)
    }

    func report(
        on nic: borrowing BoundNIC, _ placement: ThreadPlacement, busyPoll: UInt32?,
        refusal: String?
    ) -> ReceiveReport {
        var report = ReceiveReport(
            interface: interface.name, driver: interface.driver, queues: nic.queues,
            dmabufBytes: nic.memory.dmabuf.size,
            listen: listeners.endpoints.map(\.description).joined(separator: ", "))
        report.engine = nic.engine
        report.engineReason = nic.engineReason
        report.pageSize = nic.pageSize
        report.pageSizeReason = refusal
        report.busyPoll = busyPoll
        report.processors = placement.list
        report.processorsReason = placement.reason
        return report
    }

    /// Returns the addresses to listen on that an allowed peer can reach.
    private static func reachable(_ request: ReceiveRequest) throws(DevmemError) -> [Endpoint] {
        guard !request.from.isEmpty else { return request.listen }
        let reachable = request.listen.filter { endpoint in
            request.from.contains { ReceiveRequest.fits($0, endpoint) }
        }
        guard reachable.isEmpty, let from = request.from.first, let listen = request.listen.first
        else { return reachable }
        throw DevmemError(
            .invalid, call: "receive from \(from) at \(listen)",
            message: "one address is IPv4, the other IPv6")
    }

    private static func chooseInterface(
        _ request: ReceiveRequest, _ wanted: [Endpoint]
    ) throws(DevmemError) -> NetworkInterface {
        if let name = request.interface { return try NetworkInterface(named: name) }
        var refusal = DevmemError(
            .invalid, call: "choose an interface", message: "no address is named",
            advice: "choose it with \(.interface)")
        for (index, endpoint) in wanted.enumerated() {
            do throws(DevmemError) {
                return try interface(of: endpoint, request)
            } catch {
                if index == 0 { refusal = error }
            }
        }
        throw refusal
    }

    private static func interface(
        of endpoint: Endpoint, _ request: ReceiveRequest
    ) throws(DevmemError) -> NetworkInterface {
        if endpoint.scope != 0 {
            return try NetworkInterface(named: interfaceName(endpoint.scope))
        }
        guard !endpoint.address.isWildcard else {
            throw DevmemError(
                .invalid, call: "choose an interface",
                message: "the address is not of one interface",
                advice: "choose it with \(.interface)")
        }
        return try NetworkInterface(
            receivingAt: endpoint.address.unmapped,
            from: request.from.first { ReceiveRequest.fits($0, endpoint) })
    }

    /// Returns whether traffic to an address arrives through a NIC. This is assumed for a single
    /// address, or if the user names the NIC.
    private static func leads(
        _ endpoint: Endpoint, to interface: NetworkInterface, _ request: ReceiveRequest
    ) -> Bool {
        if request.interface != nil || request.listen.count == 1 { return true }
        return (try? Self.interface(of: endpoint, request)) == interface
    }
}

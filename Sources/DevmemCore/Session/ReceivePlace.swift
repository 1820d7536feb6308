import Logging

/// The queues of a receive session, and what was changed on the NIC to take them.
final class TakenQueues {
    let queues: [UInt32]
    private(set) var steering: SteeringTransaction?

    init(_ queues: [UInt32], steering: consuming SteeringTransaction?) {
        self.queues = queues
        self.steering = steering
    }

    /// Has a watch look at the NIC.
    func look(_ watch: inout HoldWatch) throws(DevmemError) {
        try watch.look(&steering)
    }

    /// Says of a connection's payload how much came in device memory, and warns of what did not,
    /// unless the caller makes a failure of that.
    func judge(
        _ report: inout ReceiveReport, on interface: NetworkInterface, bindingID: UInt32,
        isFailure: Bool, logger: Logger
    ) {
        let counts = report.counts
        let elsewhere = counts.bytes - counts.deviceBytes
        let reason = elsewhere == 0 ? nil : self.reason(report, on: interface, bindingID: bindingID)
        let placement = PayloadPlacement(counts, reason: reason)
        report.placement = placement
        switch steering {
        case .none: return
        case .some: break
        }
        guard let reason, !(isFailure && placement.verdict == .host) else { return }
        let peer = report.peer ?? "the peer"
        logger.warning(
            "\(elsewhere) of \(counts.bytes) bytes from \(peer) came outside device memory: \(reason)"
        )
    }

    private func reason(
        _ report: ReceiveReport, on interface: NetworkInterface, bindingID: UInt32
    ) -> String? {
        var stream = MisplacedStream(
            report.counts, from: report.peerAddress, through: report.napiID)
        stream.peerPort = report.peerPort
        stream.began = .now - .seconds(report.seconds)
        return switch steering {
        case .some(let transaction):
            PlacementReason.text { () throws(DevmemError) in
                try transaction.reason(for: stream, on: interface, bindingID: bindingID)
            }
        case .none: nil
        }
    }

    /// Puts the NIC's settings back.
    func restore() throws(DevmemError) {
        try steering?.restore()
    }
}

/// The NIC and the listening socket of a receive session.
struct ReceivePlace: ~Copyable {
    let interface: NetworkInterface
    let listener: Listener

    /// Finds the NIC and binds the socket; nobody can connect yet. A connection's unread payload may
    /// hold `receiveBuffer` bytes, or, if that is nil, what the system's settings give.
    init(
        _ request: ReceiveRequest, receiveBuffer: UInt64? = nil, logger: Logger
    ) throws(DevmemError) {
        try Self.checkFamilies(request)
        let interface = try Self.chooseInterface(request)
        let listener = try Listener(binding: request.listen)
        if let receiveBuffer, let shortfall = try listener.limitBuffers(to: receiveBuffer).shortfall
        {
            logger.notice("\(shortfall)")
        }
        self.interface = interface
        self.listener = listener
    }

    /// Sets the NIC up for the session, if it shall, and tells the queues to bind.
    func take(_ request: ReceiveRequest, logger: Logger) throws(DevmemError) -> TakenQueues {
        guard request.steers else {
            return TakenQueues(try named(request.queues), steering: nil)
        }
        let flow = SteeringFlow(
            to: listener.endpoint, from: request.from, port: request.fromPort)
        let steering = try SteeringTransaction(
            applying: SteeringWish(queues: request.queues, flows: [flow]), to: interface,
            as: request.command, logger: logger)
        for note in steering.notes { logger.notice("\(interface.name): \(note)") }
        let queues = steering.queues
        return TakenQueues(queues, steering: consume steering)
    }

    /// Queues as the user names them: who set the NIC up knows better than its settings tell.
    private func named(_ choice: QueueChoice) throws(DevmemError) -> [UInt32] {
        switch choice {
        case .list(let queues): return queues
        case .last(let count), .automatic(let count):
            return try receiveQueues(of: interface).suffix(count)
        }
    }

    func report(queues: [UInt32], memory: UInt64) -> ReceiveReport {
        ReceiveReport(
            interface: interface.name, driver: interface.driver, queues: queues,
            dmabufBytes: memory, listen: listener.endpoint.description)
    }

    private static func checkFamilies(_ request: ReceiveRequest) throws(DevmemError) {
        guard let from = request.from, !request.listen.address.isWildcard,
            from.unmapped.isIPv6 != request.listen.address.unmapped.isIPv6
        else { return }
        throw DevmemError(
            .invalid, call: "receive from \(from) at \(request.listen)",
            message: "one address is IPv4, the other IPv6")
    }

    private static func chooseInterface(
        _ request: ReceiveRequest
    ) throws(DevmemError) -> NetworkInterface {
        if let name = request.interface { return try NetworkInterface(named: name) }
        if request.listen.scope != 0 {
            return try NetworkInterface(named: interfaceName(request.listen.scope))
        }
        guard !request.listen.address.isWildcard else {
            throw DevmemError(
                .invalid, call: "choose an interface",
                message: "the address is not of one interface",
                advice: "name it with --interface")
        }
        return try NetworkInterface(
            receivingAt: request.listen.address.unmapped, from: request.from)
    }
}

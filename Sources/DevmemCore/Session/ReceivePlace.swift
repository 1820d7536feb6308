import Logging

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
        if let receiveBuffer { try listener.limitBuffers(to: receiveBuffer) }
        self.interface = interface
        self.listener = listener
    }

    func steer(
        _ request: ReceiveRequest, logger: Logger
    ) throws(DevmemError) -> SteeringTransaction {
        let wish = SteeringWish(
            queues: request.queues,
            flows: [SteeringFlow(to: listener.endpoint, from: request.from)])
        let steering = try SteeringTransaction(
            applying: wish, to: interface, as: "devmemtcp serve", logger: logger)
        for note in steering.notes { logger.notice("\(interface.name): \(note)") }
        return steering
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
        return try NetworkInterface(holding: request.listen.address.unmapped)
    }
}

import DevmemCore
import CDevmem
import Glibc
import SystemPackage

extension ValidationCase {
    /// Sends that the kernel must refuse. Most need no peer: on a loopback connection they are
    /// refused before the route matters.
    static var sendRefusals: [ValidationCase] {
        [
            ValidationCase(
                "send-refusals", "bad-descriptor", "a descriptor that is not open is refused",
                needs: [.bindTransmit]
            ) { run throws(DevmemError) in
                ExpectedRefusal(.badFileDescriptor).verdict(on: "the request") {
                    () throws(DevmemError) in
                    let none = Descriptor(owning: Int32.max)
                    _ = try TransmitBinding(dmabuf: none, interface: run.interface)
                }
            },
            refused("unknown-binding", "an unknown binding id", InvalidSend(binding: 0x7fff_fffe)),
            ValidationCase(
                "send-refusals", "receive-binding", "the id of a binding for receiving is refused",
                needs: .binding + .sending
            ) { run throws(DevmemError) in
                try InvalidSend(binding: run.fixture(.quiet).bound.id).verdict(run)
            },
            refused(
                "without-msg-zerocopy", "a send without MSG_ZEROCOPY", InvalidSend(flags: 0)),
            refused(
                "without-so-zerocopy", "a send on a socket without SO_ZEROCOPY",
                InvalidSend(isZerocopyOn: false)),
            refused(
                "other-device", "a send that leaves through another interface",
                InvalidSend(expected: ExpectedRefusal(.operationNotSupportedByDevice))),
            overWire(
                "beyond-the-end", "a send from beyond the end of the dma-buf",
                InvalidSend(isBeyondEnd: true, expected: ExpectedRefusal(.badAddress))),
            overWire(
                "far-beyond-the-end", "a send from the end of the address space",
                InvalidSend(offset: 1 << 46, expected: ExpectedRefusal(.badAddress))),
        ]
    }

    private static func refused(
        _ name: String, _ what: String, _ trial: InvalidSend
    ) -> ValidationCase {
        ValidationCase("send-refusals", name, "\(what) is refused", needs: .sending) {
            run throws(DevmemError) in try trial.verdict(run)
        }
    }

    private static func overWire(
        _ name: String, _ what: String, _ trial: InvalidSend
    ) -> ValidationCase {
        var trial = trial
        trial.isOverWire = true
        let wanted = trial
        return ValidationCase(
            "send-refusals", name, "\(what) is refused", needs: .sending + [.remote]
        ) { run throws(DevmemError) in try wanted.verdict(run) }
    }
}

/// A send that is invalid in one respect.
private struct InvalidSend {
    /// The binding id to send with; nil for the valid one.
    var binding: UInt32?
    var offset: UInt64 = 0
    /// Whether the offset is that of the end instead.
    var isBeyondEnd = false
    var flags = cdm_MSG_ZEROCOPY
    var isZerocopyOn = true
    /// Whether the connection goes through the NIC.
    var isOverWire = false
    var expected = ExpectedRefusal(.invalidArgument)

    func verdict(_ run: ValidationRun) throws(DevmemError) -> CaseVerdict {
        let memory = try run.makeMemory()
        let bound = try TransmitBinding(dmabuf: memory.descriptor, interface: run.interface)
        let id = binding ?? bound.id
        let start = isBeyondEnd ? memory.size : offset
        if isOverWire {
            let isIPv6 = run.peers.prefersIPv6
            let wire = try WireConnection(run, ipv6: isIPv6)
            return try verdict(on: wire.connection, id, start)
        }
        let listener = try Listener(binding: Endpoint(address: .loopback, port: 0))
        try listener.listen()
        let connection = try Connection(to: listener.endpoint, from: nil, pinnedTo: nil)
        try run.stop.wait(
            for: connection.rawValue, events: Int32(POLLOUT), milliseconds: caseTimeout,
            "connect to this host")
        return try verdict(on: connection, id, start)
    }

    private func verdict(
        on connection: borrowing Connection, _ id: UInt32, _ start: UInt64
    ) throws(DevmemError) -> CaseVerdict {
        if isZerocopyOn { try connection.enableZerocopy() }
        let number = connection.rawValue
        return expected.verdict(on: "the send") { () throws(DevmemError) in
            try sendRaw(on: number, offset: start, count: 4096, binding: id, flags: flags)
        }
    }
}

extension IPAddress {
    /// 127.0.0.1.
    fileprivate static let loopback = IPAddress(four: (127, 0, 0, 1))
}

/// A connection to the remote side, which receives what is sent.
struct WireConnection: ~Copyable {
    let connection: Connection
    /// The number of the request to the remote side.
    let id: Int

    init(_ run: ValidationRun, ipv6: Bool) throws(DevmemError) {
        guard let agent = run.peers.agent, let local = run.peers.local(ipv6: ipv6),
            let remote = run.peers.remote(ipv6: ipv6)
        else { throw DevmemError(.invalid, call: "connect", message: "there is no peer") }
        let id = try agent.ask(
            ValidationPeerRequest(id: 0, action: .receive, address: remote.description))
        let port = try agent.port(of: id)
        let peer = Endpoint(address: remote, port: port)
        let connection = try run.stop.connect(
            to: peer, from: Endpoint(address: local, port: 0), milliseconds: caseTimeout)
        self.id = id
        self.connection = connection
    }
}

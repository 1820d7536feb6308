package import DevmemCore
import Glibc
import SystemPackage

/// The choice of a peer for a validation.
package enum PeerChoice: Equatable, Sendable, CustomStringConvertible {
    /// This program, started in the given place.
    case place(RemotePlace)
    /// An echo server, such as `devmemtcp serve` in echo mode, at the first endpoint that answers.
    case echo([Endpoint])

    /// The peer as text.
    package var description: String {
        switch self {
        case .place(let place): "\(place)"
        case .echo(let endpoints): endpoints.map(\.description).joined(separator: " or ")
        }
    }
}

/// The peer of a validation, with the addresses that reach it.
final class ValidationPeers {
    /// The remote side that carries out requests, if there is one.
    let agent: RemoteAgent?
    /// The echo server, if there is one.
    let echo: Endpoint?
    /// Addresses of the NIC that the peer can reach, IPv4 first.
    private(set) var local: [IPAddress] = []
    private var remote: [IPAddress] = []
    /// Why a family is unusable, keyed by whether it is IPv6.
    private var refusals: [Bool: String] = [:]

    /// Starts the remote side and determines which addresses reach the NIC.
    init(_ request: ValidationRequest, _ interface: NetworkInterface, stop: SharedStopSignal)
        throws(DevmemError)
    {
        switch request.peer {
        case .none:
            agent = nil
            echo = nil
        case .echo(let endpoints):
            agent = nil
            echo = try Self.answering(endpoints, request, interface, stop)
            guard let endpoint = echo else { break }
            let address = try Self.choose(
                request.local, interface, ipv6: endpoint.address.isIPv6)
            if let address {
                local = [address]
                remote = [endpoint.address]
            } else {
                refusals[endpoint.address.isIPv6] =
                    "\(interface.name) has no address of the same family as \(endpoint)"
            }
        case .place(let place):
            let agent = try RemoteAgent(at: place, stop: stop)
            self.agent = agent
            echo = nil
            for isIPv6 in [false, true] {
                guard let address = try Self.choose(request.local, interface, ipv6: isIPv6) else {
                    refusals[isIPv6] = "\(interface.name) has no IPv\(isIPv6 ? 6 : 4) address"
                    continue
                }
                let source = request.remote.first { $0.isIPv6 == isIPv6 }
                try tryAddress(address, from: source, agent, stop)
            }
        }
        let given = Set((request.local + request.remote).map(\.isIPv6))
        let problem = Self.problem(
            reached: Set(local.map(\.isIPv6)), refusals: refusals, given: given)
        if let problem, let peer = request.peer {
            throw DevmemError(
                .system, call: "validate \(interface.name) with \(peer)", message: problem,
                advice: "check addresses, routes and firewalls on both sides, or run without "
                    + "a peer")
        }
    }

    /// Returns the first endpoint of an echo server that answers, among the families of the NIC. If
    /// none does, returns the first endpoint, and the cases report the reason.
    private static func answering(
        _ endpoints: [Endpoint], _ request: ValidationRequest, _ interface: NetworkInterface,
        _ stop: SharedStopSignal
    ) throws(DevmemError) -> Endpoint? {
        guard endpoints.count > 1 else { return endpoints.first }
        var own: [Endpoint] = []
        for endpoint in endpoints
        where try choose(request.local, interface, ipv6: endpoint.address.isIPv6) != nil {
            own.append(endpoint)
        }
        return try answering(own, stop) ?? own.first ?? endpoints.first
    }

    /// Returns the first endpoint that accepts a connection; nil if none does.
    static func answering(
        _ endpoints: [Endpoint], _ stop: SharedStopSignal
    ) throws(DevmemError) -> Endpoint? {
        for endpoint in endpoints {
            do throws(DevmemError) {
                _ = try stop.connect(to: endpoint, milliseconds: caseTimeout)
                return endpoint
            } catch {
                if error.errno == .interrupted { throw error }
            }
        }
        return nil
    }

    /// Returns why a peer that the user named is unusable. It must be an error: if all cases that
    /// need the peer were skipped, the run would seem to pass. Families are keyed by whether they
    /// are IPv6.
    ///
    /// - Parameters:
    ///   - reached: the families that work in both directions.
    ///   - refusals: why the others do not.
    ///   - given: the families of the addresses that the user gave.
    /// - Returns: the problem; nil if there is none.
    static func problem(
        reached: Set<Bool>, refusals: [Bool: String], given: Set<Bool>
    ) -> String? {
        let missed =
            reached.isEmpty ? [false, true] : given.subtracting(reached).sorted { !$0 && $1 }
        let words = missed.compactMap { refusals[$0] }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }

    /// Returns the address of the NIC to use: the given one, otherwise the first that is not
    /// link-local.
    private static func choose(
        _ given: [IPAddress], _ interface: NetworkInterface, ipv6: Bool
    ) throws(DevmemError) -> IPAddress? {
        if let one = given.first(where: { $0.isIPv6 == ipv6 }) { return one }
        return try interface.addresses.first { $0.isIPv6 == ipv6 && !$0.isLinkLocal }
    }

    /// Has the remote side connect to an address, which shows whether it can reach the NIC, and its
    /// address. It reports the source of its connection, so that other hosts' connections are
    /// recognized.
    private func tryAddress(
        _ address: IPAddress, from source: IPAddress?, _ agent: RemoteAgent,
        _ stop: SharedStopSignal
    ) throws(DevmemError) {
        let listener = try Listener(binding: Endpoint(address: address, port: 0))
        try listener.listen()
        // The remote side sends another reply when it finishes or fails; nothing waits for that.
        let id = try agent.ask(
            ValidationPeerRequest(
                id: 0, action: .send, address: address.description, port: listener.endpoint.port,
                from: source?.description, tellsSource: true))
        var why = ""
        do throws(DevmemError) {
            let deadline = Deadline.after(.milliseconds(Int(caseTimeout)))
            let answer = try agent.source(of: id, until: deadline)
            why = answer.failure.map { ": \($0)" } ?? ""
            while let own = answer.source {
                let connection = try stop.accept(
                    on: listener, until: deadline, "wait for the peer at \(address)")
                guard ValidationPeerReply.Source(connection.peer) == own else {
                    why =
                        ": it connects from \(own.address), but the connection came from "
                        + "\(connection.peer)"
                    continue
                }
                local.append(address)
                remote.append(connection.peer.address.unmapped)
                return
            }
        } catch {
            guard error.errno == .timedOut else { throw error }
        }
        refusals[address.isIPv6] = "the peer cannot reach \(address)\(why)"
    }

    /// Tells whether an address family works in both directions.
    func has(ipv6: Bool) -> Bool { local.contains { $0.isIPv6 == ipv6 } }

    /// Whether cases without a required family use IPv6.
    var prefersIPv6: Bool { !has(ipv6: false) && has(ipv6: true) }

    /// Returns the NIC's address of a family.
    func local(ipv6: Bool) -> IPAddress? { local.first { $0.isIPv6 == ipv6 } }

    /// Returns the peer's address of a family.
    func remote(ipv6: Bool) -> IPAddress? { remote.first { $0.isIPv6 == ipv6 } }

    /// Returns why there is no peer of a family; nil if there is one. An echo server suffices if
    /// `mayEcho` is set.
    func reason(ipv6: Bool, mayEcho: Bool) -> String? {
        if agent == nil && echo == nil {
            return "no peer: \(Advice.Parameter.remote) or \(Advice.Parameter.peer) gives one"
        }
        if agent == nil && !mayEcho {
            return
                "needs a peer that the test controls: \(Advice.Parameter.remote) starts one"
        }
        guard !has(ipv6: ipv6) else { return nil }
        return refusals[ipv6] ?? "the peer has no IPv\(ipv6 ? 6 : 4) address"
    }
}

extension IPAddress {
    /// Whether the address is link-local (RFC 4291, fe80::/10) and needs a scope.
    var isLinkLocal: Bool { isIPv6 && bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80 }
}

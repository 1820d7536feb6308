package import DevmemCore
import Glibc
import SystemPackage

/// Which far end a validation has.
package enum FarEndChoice: Equatable, Sendable, CustomStringConvertible {
    /// This program, started there.
    case place(FarEndPlace)
    /// A service that sends back what it gets, such as `devmemtcp serve` that answers with an echo, at the
    /// first of these that answers.
    case echo([Endpoint])

    /// The far end in words.
    package var description: String {
        switch self {
        case .place(let place): "\(place)"
        case .echo(let endpoints): endpoints.map(\.description).joined(separator: " or ")
        }
    }
}

/// The far end of a validation, and which addresses lead there and back.
final class ValidationPeers {
    /// The far end that does as it is told, if there is one.
    let farEnd: FarEnd?
    /// The service that sends back what it gets, if there is one.
    let echo: Endpoint?
    /// Addresses of the NIC that the far end reaches, IPv4 first.
    private(set) var local: [IPAddress] = []
    private var remote: [IPAddress] = []
    /// Why a family leads nowhere, by whether it is IPv6.
    private var refusals: [Bool: String] = [:]

    /// Starts the far end and tries which addresses lead to the NIC.
    init(_ request: ValidationRequest, _ interface: NetworkInterface, stop: SharedStopSignal)
        throws(DevmemError)
    {
        switch request.farEnd {
        case .none:
            farEnd = nil
            echo = nil
        case .echo(let endpoints):
            farEnd = nil
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
            let farEnd = try FarEnd(at: place, stop: stop)
            self.farEnd = farEnd
            echo = nil
            for isIPv6 in [false, true] {
                guard let address = try Self.choose(request.local, interface, ipv6: isIPv6) else {
                    refusals[isIPv6] = "\(interface.name) has no IPv\(isIPv6 ? 6 : 4) address"
                    continue
                }
                let source = request.remote.first { $0.isIPv6 == isIPv6 }
                try tryAddress(address, from: source, farEnd, stop)
            }
        }
        let given = Set((request.local + request.remote).map(\.isIPv6))
        let problem = Self.problem(
            reached: Set(local.map(\.isIPv6)), refusals: refusals, given: given)
        if let problem, let farEnd = request.farEnd {
            throw DevmemError(
                .system, call: "validate \(interface.name) with \(farEnd)", message: problem,
                advice: "check addresses, routes and firewalls on both sides, or run without "
                    + "a peer")
        }
    }

    /// The first of a service's addresses that answers, of those whose family the NIC has; if none does,
    /// the first, as the cases then tell why.
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

    /// The first of some addresses that takes a connection; nil if none does.
    static func answering(
        _ endpoints: [Endpoint], _ stop: SharedStopSignal
    ) throws(DevmemError) -> Endpoint? {
        for endpoint in endpoints {
            do throws(DevmemError) {
                _ = try stop.connect(to: endpoint, milliseconds: casePatience)
                return endpoint
            } catch {
                if error.errno == .interrupted { throw error }
            }
        }
        return nil
    }

    /// What is wrong with a far end that somebody named: if all that needs it were skipped, that would
    /// look as if it had passed. The families are told by whether they are IPv6.
    ///
    /// - Parameters:
    ///   - reached: those that lead there and back.
    ///   - refusals: why others do not.
    ///   - given: those that somebody gave addresses of.
    /// - Returns: the problem; nil if there is none.
    static func problem(
        reached: Set<Bool>, refusals: [Bool: String], given: Set<Bool>
    ) -> String? {
        let missed =
            reached.isEmpty ? [false, true] : given.subtracting(reached).sorted { !$0 && $1 }
        let words = missed.compactMap { refusals[$0] }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }

    /// An address of the NIC: the given one, else its first that means something without its name.
    private static func choose(
        _ given: [IPAddress], _ interface: NetworkInterface, ipv6: Bool
    ) throws(DevmemError) -> IPAddress? {
        if let one = given.first(where: { $0.isIPv6 == ipv6 }) { return one }
        return try interface.addresses.first { $0.isIPv6 == ipv6 && !$0.isLinkLocal }
    }

    /// A connection from the far end tells whether it gets here, and its address. Others may connect
    /// too; the far end tells which is its own.
    private func tryAddress(
        _ address: IPAddress, from source: IPAddress?, _ farEnd: FarEnd, _ stop: SharedStopSignal
    ) throws(DevmemError) {
        let listener = try Listener(binding: Endpoint(address: address, port: 0))
        try listener.listen()
        // It answers once more when it is done or has given up; nobody waits for that.
        let id = try farEnd.ask(
            FarEndRequest(
                id: 0, action: .send, address: address.description, port: listener.endpoint.port,
                from: source?.description, tellsSource: true))
        var why = ""
        do throws(DevmemError) {
            let deadline = Deadline.after(.milliseconds(Int(casePatience)))
            let told = try farEnd.source(of: id, until: deadline)
            why = told.failure.map { ": \($0)" } ?? ""
            while let own = told.source {
                let connection = try stop.accept(
                    on: listener, until: deadline, "wait for the peer at \(address)")
                guard FarEndReply.Source(connection.peer) == own else {
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

    /// Whether an address family leads to the far end and back.
    func has(ipv6: Bool) -> Bool { local.contains { $0.isIPv6 == ipv6 } }

    /// The family of cases that can do with any.
    var prefersIPv6: Bool { !has(ipv6: false) && has(ipv6: true) }

    /// The NIC's address of a family.
    func local(ipv6: Bool) -> IPAddress? { local.first { $0.isIPv6 == ipv6 } }

    /// The far end's address of a family.
    func remote(ipv6: Bool) -> IPAddress? { remote.first { $0.isIPv6 == ipv6 } }

    /// Why there is no far end of a family; nil if there is one. One that only sends back what it
    /// gets will do if `mayEcho` says so.
    func reason(ipv6: Bool, mayEcho: Bool) -> String? {
        if farEnd == nil && echo == nil {
            return "no peer: \(Advice.Parameter.remote) or \(Advice.Parameter.peer) gives one"
        }
        if farEnd == nil && !mayEcho {
            return
                "needs a peer that the test controls: \(Advice.Parameter.remote) starts one"
        }
        guard !has(ipv6: ipv6) else { return nil }
        return refusals[ipv6] ?? "the peer has no IPv\(ipv6 ? 6 : 4) address"
    }
}

extension IPAddress {
    /// Whether it means something only together with an interface (RFC 4291, fe80::/10).
    var isLinkLocal: Bool { isIPv6 && bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80 }
}

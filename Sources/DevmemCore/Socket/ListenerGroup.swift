import SystemPackage

/// Listening sockets on all addresses that a name resolves to, with one port.
package final class ListenerGroup {
    private final class Member {
        let listener: Listener

        init(_ listener: consuming Listener) {
            self.listener = listener
        }
    }

    private let members: [Member]
    /// Polls all sockets; nil if there is only one.
    private let poller: Poller?
    /// The index of the socket to try first for the next connection.
    private var turn = 0

    /// Binds a socket to each address; none accepts connections before `listen`.
    ///
    /// - Parameters:
    ///   - wanted: the addresses. If the port is 0, the kernel chooses one for the first and the
    ///     others use the same.
    ///   - leftOut: called with the error of each address that is not local, if another is.
    /// - Throws: `DevmemError` of kind `system` if no address is local or one is in use, `invalid`
    ///   if there are no addresses.
    package init(
        binding wanted: [Endpoint], leftOut: (DevmemError) -> Void = { _ in }
    ) throws(DevmemError) {
        var members: [Member] = []
        var refusals: [DevmemError] = []
        for endpoint in wanted {
            var endpoint = endpoint
            if let first = members.first { endpoint.port = first.listener.endpoint.port }
            do throws(DevmemError) {
                members.append(Member(try Listener(binding: endpoint)))
            } catch {
                guard Self.isElsewhere(error), wanted.count > 1 else { throw error }
                refusals.append(error)
            }
        }
        guard !members.isEmpty else {
            throw refusals.first
                ?? DevmemError(.invalid, call: "listen", message: "no address is named")
        }
        for refusal in refusals { leftOut(refusal) }
        poller =
            members.count > 1
            ? try Poller(reading: members.map { $0.listener.rawValue }) : nil
        self.members = members
    }

    /// Returns whether the error means that the address is not local or its family is unavailable.
    private static func isElsewhere(_ error: DevmemError) -> Bool {
        error.errno == .addressNotAvailable || error.errno == .addressFamilyNotSupported
    }

    /// The bound addresses.
    package var endpoints: [Endpoint] { members.map { $0.listener.endpoint } }

    /// The descriptor to poll for connections on any of the sockets.
    package var rawValue: Int32 {
        switch poller {
        case .some(let open): open.rawValue
        case .none: members[0].listener.rawValue
        }
    }

    /// The initial receive buffer of a connection in bytes.
    var initialReceiveBuffer: UInt64 { members[0].listener.initialReceiveBuffer }

    /// Sets the initial receive buffer of connections.
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    func setInitialReceiveBuffer(to bytes: UInt64) throws(DevmemError) {
        for member in members { try member.listener.setInitialReceiveBuffer(to: bytes) }
    }

    /// Starts listening for connections.
    ///
    /// - Parameter backlog: the backlog of all sockets together; one more connection than this can
    ///   wait.
    /// - Throws: `DevmemError` of kind `system` if listen(2) fails, as when another socket uses the
    ///   port.
    package func listen(backlog: Int32) throws(DevmemError) {
        let share = (Int(backlog) + 1) / members.count - 1
        for member in members { try member.listener.listen(backlog: Int32(max(0, share))) }
    }

    /// Stops listening; connections that wait to be accepted are reset.
    func stopListening() {
        for member in members { member.listener.stopListening() }
    }

    /// The number of sockets.
    var count: Int { members.count }

    /// Accepts a waiting connection, as `Listener.accept` does. It starts with a different socket
    /// each time so that a busy one does not starve the others.
    ///
    /// - Throws: `DevmemError` of kind `system` if a listening socket fails.
    package func accept(
        endingWhenSilent timeout: PeerTimeout = .standard, short: (DevmemError) -> Void,
        lost: (DevmemError) -> Void = { _ in }
    ) throws(DevmemError) -> Connection? {
        var isShort = false
        for _ in members {
            let member = members[turn]
            turn = (turn + 1) % members.count
            let connection = try member.listener.accept(
                endingWhenSilent: timeout,
                short: {
                    isShort = true
                    short($0)
                }, lost: lost)
            if let connection { return connection }
            // The other sockets would fail alike, each after a delay.
            if isShort { return nil }
        }
        return nil
    }
}

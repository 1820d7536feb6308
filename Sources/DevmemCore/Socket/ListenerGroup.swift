import SystemPackage

/// Sockets that listen at all addresses that a name stands for, at one port.
package final class ListenerGroup {
    private final class Member {
        let listener: Listener

        init(_ listener: consuming Listener) {
            self.listener = listener
        }
    }

    private let members: [Member]
    /// Watches all of them; nil for one.
    private let poller: Poller?
    /// The one that is asked first for the next connection.
    private var turn = 0

    /// Binds a socket to each address; nobody can connect before `listen`.
    ///
    /// - Parameters:
    ///   - wanted: the addresses. If the kernel shall choose the port, it does for the first.
    ///   - leftOut: is told of an address that is not this host's, if another is.
    /// - Throws: `DevmemError` of kind `system` if no address is this host's, or one is in use.
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

    /// Whether an address is only not this host's, or of a family that it does not have.
    private static func isElsewhere(_ error: DevmemError) -> Bool {
        error.errno == .addressNotAvailable || error.errno == .addressFamilyNotSupported
    }

    /// Where they listen.
    package var endpoints: [Endpoint] { members.map { $0.listener.endpoint } }

    /// The descriptor to wait on for connections at any of them.
    package var rawValue: Int32 {
        switch poller {
        case .some(let open): open.rawValue
        case .none: members[0].listener.rawValue
        }
    }

    /// Bytes of memory that the kernel lets a connection's unread payload hold at first.
    var initialReceiveBuffer: UInt64 { members[0].listener.initialReceiveBuffer }

    /// Has connections begin with so many bytes of receive buffer, as long as they wait.
    ///
    /// - Throws: `DevmemError` of kind `system` as setsockopt(2) fails.
    func beginWith(receiveBuffer bytes: UInt64) throws(DevmemError) {
        for member in members { try member.listener.beginWith(receiveBuffer: bytes) }
    }

    /// Begins to take connections.
    ///
    /// - Parameter backlog: how many more than one may wait to be accepted, at all of them together.
    /// - Throws: `DevmemError` of kind `system`, among others if another socket has the port.
    package func listen(backlog: Int32) throws(DevmemError) {
        let share = (Int(backlog) + 1) / members.count - 1
        for member in members { try member.listener.listen(backlog: Int32(max(0, share))) }
    }

    /// Takes no more connections; those that wait are reset.
    func stopListening() {
        for member in members { member.listener.stopListening() }
    }

    /// How many there are.
    var count: Int { members.count }

    /// Takes a waiting connection, as `Listener.accept` does, from each of them in turn, so that
    /// many at one keep nobody from another.
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
            // The others would find the same, each after a wait.
            if isShort { return nil }
        }
        return nil
    }
}

package import DevmemCore
/// A connection that may hold a NIC's memory. The kernel does not tell whose skb a page is in, so
/// this is what can be concluded from procfs.
package struct LikelyHolder: Equatable, Sendable {
    /// Why it may.
    package enum Reason: String, Sendable {
        /// Payload waits in the socket until it is read.
        case unread
        /// Payload waits in a connection that its listener has not accepted.
        case notAccepted = "not-accepted"
        /// All is read, but the process has a dma-buf open: it may not have given all tokens back.
        case deviceMemory = "device-memory"
    }

    /// The process that has the socket open, if it can be seen.
    package var process: ProcessName?
    /// Why it may hold memory.
    package var reason: Reason
    /// Bytes received that nobody has read.
    package var unreadBytes: UInt64
    /// The local end.
    package var local: Endpoint
    /// The other end.
    package var remote: Endpoint

    /// Makes a holder from its values.
    package init(
        process: ProcessName?, reason: Reason, unreadBytes: UInt64, local: Endpoint,
        remote: Endpoint
    ) {
        self.process = process
        self.reason = reason
        self.unreadBytes = unreadBytes
        self.local = local
        self.remote = remote
    }
}

/// A process by number and name.
package struct ProcessName: Hashable, Sendable {
    /// Its process id.
    package var pid: Int32
    /// Its name (`/proc/PID/comm`).
    package var name: String

    /// Makes it from its values.
    package init(pid: Int32, name: String) {
        self.pid = pid
        self.name = name
    }

    init(_ process: ProcessDescriptors) {
        self.init(pid: process.pid, name: process.name)
    }
}

/// The connections that may hold memory of a NIC.
///
/// - Parameters:
///   - addresses: the NIC's addresses; nil for any.
///   - ofDevice: whether device memory is sought, so that tokens count.
///   - sockets: the TCP sockets of this network namespace.
///   - processes: the processes that may have them open.
/// - Returns: a holder for each connection and process; one without process where none is visible.
func likelyHolders(
    addresses: [IPAddress]?, ofDevice: Bool, sockets: [TCPSocket],
    processes: [ProcessDescriptors]
) -> [LikelyHolder] {
    let wanted = addresses.map { Set($0.map(\.unmapped)) }
    var holders: [LikelyHolder] = []
    for socket in sockets where socket.state != TCPSocket.listening {
        guard wanted?.contains(socket.local.address.unmapped) ?? true else { continue }
        var reason = LikelyHolder.Reason.unread
        var inode = socket.inode
        if socket.inode == 0 {
            reason = .notAccepted
            inode = listener(of: socket, in: sockets)?.inode ?? 0
        }
        let owners = inode == 0 ? [] : processes.filter { $0.sockets.contains(inode) }
        if socket.receiveQueue == 0 {
            guard ofDevice, owners.contains(where: \.hasDmabuf) else { continue }
            reason = .deviceMemory
        }
        func holder(_ process: ProcessName?) -> LikelyHolder {
            LikelyHolder(
                process: process, reason: reason, unreadBytes: socket.receiveQueue,
                local: socket.local, remote: socket.remote)
        }
        holders += owners.isEmpty ? [holder(nil)] : owners.map { holder(ProcessName($0)) }
    }
    return holders
}

private func listener(of socket: TCPSocket, in sockets: [TCPSocket]) -> TCPSocket? {
    sockets.first {
        $0.state == TCPSocket.listening && $0.local.port == socket.local.port
            && ($0.local.address.isWildcard
                || $0.local.address.unmapped == socket.local.address.unmapped)
    }
}

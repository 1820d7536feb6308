package import DevmemCore
/// A connection that may hold a NIC's memory. The kernel does not report which skb holds a page, so
/// this is inferred from procfs.
package struct LikelyHolder: Equatable, Sendable {
    /// The reason to suspect a connection.
    package enum Reason: String, Sendable {
        /// The socket has unread payload.
        case unread
        /// A connection that its listener has not accepted has unread payload.
        case notAccepted = "not-accepted"
        /// Everything is read, but the process has a dma-buf open, so tokens may be outstanding.
        case deviceMemory = "device-memory"
    }

    /// The process that has the socket open, if it is visible.
    package var process: ProcessName?
    /// The reason for the suspicion.
    package var reason: Reason
    /// The number of unread bytes.
    package var unreadBytes: UInt64
    /// The local endpoint.
    package var local: Endpoint
    /// The remote endpoint.
    package var remote: Endpoint

    /// Creates a holder from its values.
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

/// The id and name of a process.
package struct ProcessName: Hashable, Sendable {
    /// Its process id.
    package var pid: Int32
    /// Its name (`/proc/PID/comm`).
    package var name: String

    /// Creates a process name from its values.
    package init(pid: Int32, name: String) {
        self.pid = pid
        self.name = name
    }

    init(_ process: ProcessDescriptors) {
        self.init(pid: process.pid, name: process.name)
    }
}

/// Finds the connections that may hold memory of a NIC.
///
/// - Parameters:
///   - addresses: the NIC's addresses; nil for any.
///   - ofDevice: whether the memory is device memory, so that outstanding tokens matter.
///   - sockets: the TCP sockets of this network namespace.
///   - processes: the processes that may have the sockets open.
/// - Returns: a holder per connection and process; the process is nil if none is visible.
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

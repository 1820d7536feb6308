import CDevmem
import Glibc
import SystemPackage

/// A TCP socket that has its address and can begin to listen.
public struct Listener: ~Copyable {
    private let socket: Descriptor
    /// Where it is bound, with the port that the kernel chose if zero was asked for.
    public let endpoint: Endpoint

    /// The descriptor to wait on for connections.
    public var rawValue: Int32 { socket.rawValue }

    /// Binds a socket to an address; nobody can connect before `listen()`. On a host without IPv6
    /// every address is every IPv4 address.
    ///
    /// - Throws: `DevmemError` of kind `system` if the address is not this host's or is in use.
    public init(binding wanted: Endpoint) throws(DevmemError) {
        do throws(DevmemError) {
            try self.init(bindingOnly: wanted)
        } catch {
            guard let substitute = Self.substitute(for: wanted, after: error) else { throw error }
            try self.init(bindingOnly: substitute)
        }
    }

    /// What stands for every address of a host that refused IPv6's; nil for any other address or
    /// refusal. Pure.
    static func substitute(for wanted: Endpoint, after refusal: DevmemError) -> Endpoint? {
        guard wanted.address.isIPv6 && wanted.address.isWildcard,
            refusal.errno == .addressFamilyNotSupported || refusal.errno == .addressNotAvailable
        else { return nil }
        return Endpoint(address: IPAddress(four: (0, 0, 0, 0)), port: wanted.port)
    }

    private init(bindingOnly wanted: Endpoint) throws(DevmemError) {
        let call = "listen on \(wanted)"
        let number = try retrying(call) {
            Glibc.socket(
                wanted.address.isIPv6 ? AF_INET6 : AF_INET,
                cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC | cdm_SOCK_NONBLOCK, 0)
        }
        let socket = Descriptor(owning: number)
        try setOption(socket, SOL_SOCKET, SO_REUSEADDR, 1, call)
        if wanted.address.isIPv6 && wanted.address.isWildcard {
            try setOption(socket, cdm_IPPROTO_IPV6, IPV6_V6ONLY, 0, call)
        }
        do throws(DevmemError) {
            try retrying(call) { wanted.withSocketAddress { bind(socket.rawValue, $0, $1) } }
        } catch {
            throw explain(error)
        }
        endpoint = localEndpoint(of: socket.rawValue) ?? wanted
        self.socket = socket
    }

    /// Begins to take connections.
    ///
    /// - Parameter backlog: how many more than one may wait to be accepted; the kernel lets further
    ///   ones try again.
    /// - Throws: `DevmemError` of kind `system`, among others if another socket has the port.
    public func listen(backlog: Int32 = 4096) throws(DevmemError) {
        do throws(DevmemError) {
            try retrying("listen on \(endpoint)") { Glibc.listen(rawValue, backlog) }
        } catch {
            throw explain(error)
        }
    }

    /// Has connections begin with so many bytes of receive buffer. Unlike one that is bounded so, it
    /// can grow later: the scale of the window is chosen for the largest buffer that the system allows
    /// (`tcp_openreq_init_rwin` of net/ipv4/tcp_minisocks.c).
    ///
    /// - Throws: `DevmemError` of kind `system` as setsockopt(2) fails.
    func beginWith(receiveBuffer bytes: UInt64) throws(DevmemError) {
        let call = "make the first receive buffers of \(endpoint) small"
        // The kernel doubles the number, for what it keeps of each packet besides (socket(7)).
        try setOption(socket, SOL_SOCKET, SO_RCVBUF, Int32(clamping: bytes / 2), call)
        try setOption(socket, SOL_SOCKET, SO_BUF_LOCK, 0, call)
    }

    /// Takes no more connections. Those that wait are reset, so that they hold no memory.
    func stopListening() {
        _ = shutdown(rawValue, Int32(SHUT_RD))
    }

    /// Bytes of memory that the kernel lets a connection's unread payload hold at first
    /// (net.ipv4.tcp_rmem).
    var initialReceiveBuffer: UInt64 {
        var size: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = getsockopt(rawValue, SOL_SOCKET, SO_RCVBUF, &size, &length)
        return result == 0 && size > 0 ? UInt64(size) : 128 << 10
    }

    /// Bounds the memory that the unread payload of each connection may hold.
    ///
    /// - Parameter bytes: the bound; the kernel keeps to it but for what is in flight already.
    /// - Returns: the bound that the kernel set.
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    package func limitBuffers(to bytes: UInt64) throws(DevmemError) -> BufferBound {
        try boundReceiveBuffer(of: socket, to: bytes, "bound the receive buffers of \(endpoint)")
    }

    /// Takes a waiting connection, which ends when its peer is silent for a while.
    ///
    /// - Parameters:
    ///   - timeout: for how long.
    ///   - short: is told what the host is short of, such as descriptors. The connection
    ///     still waits then, and this returns after a while, so that asking again costs little.
    ///   - lost: is told why a connection was closed that could not be set up so.
    /// - Returns: the connection; nil if none waits, the one that did is gone, or the host is short of
    ///   something.
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    package func accept(
        endingWhenSilent timeout: PeerTimeout = .standard,
        short: (DevmemError) -> Void = { _ in }, lost: (DevmemError) -> Void = { _ in }
    ) throws(DevmemError) -> Connection? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let number = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                cdm_accept4(
                    rawValue, $0, &length,
                    cdm_SOCK_CLOEXEC | cdm_SOCK_NONBLOCK)
            }
        }
        guard number >= 0 else {
            let error = DevmemError(
                .system, call: "accept on \(endpoint)", errno: Errno(rawValue: errno))
            switch AcceptRefusal(errno) {
            case .connection: return nil
            case .shortage:
                short(error.explainingShortage())
                // The socket stays readable, so waiting for it would be no wait.
                _ = poll(nil, 0, Self.shortageWait)
                return nil
            case .socket: throw error
            }
        }
        let peer = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Endpoint($0) }
        }
        let connection = Connection(owning: Descriptor(owning: number), peer: peer ?? endpoint)
        do throws(DevmemError) {
            try connection.endWhenSilent(for: timeout)
        } catch {
            // One connection's trouble is not the socket's.
            lost(error)
            return nil
        }
        return connection
    }

    /// Waits for a connection.
    ///
    /// - Parameter stop: signals that end the wait.
    /// - Returns: the connection; nil if a signal arrived.
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    public func accept(until stop: borrowing StopSignal) throws(DevmemError) -> Connection? {
        while true {
            if case .stopped = try stop.wait(for: rawValue, events: Int32(POLLIN)) { return nil }
            if let connection = try accept() { return connection }
        }
    }

    /// Milliseconds to wait for what the host is short of.
    private static let shortageWait: Int32 = 100
}

/// What a failure of accept(2) is about. Pure.
enum AcceptRefusal: Equatable {
    /// There is no connection, or the one that waited is gone: the next call may bring another.
    case connection
    /// This process or the host is short of something, which may pass.
    case shortage
    /// The socket itself.
    case socket

    /// Sorts an error number as accept(2) tells to.
    init(_ code: Int32) {
        self =
            switch code {
            case EWOULDBLOCK, EINTR, ECONNABORTED, EPERM, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN,
                ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, ECONNRESET:
                .connection
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: .shortage
            default: .socket
            }
    }
}

extension DevmemError {
    fileprivate func explainingShortage() -> DevmemError {
        switch errno {
        case .tooManyOpenFiles: advising("ulimit -n, or LimitNOFILE= of the unit, limits them")
        case .tooManyOpenFilesInSystem: advising("sysctl fs.file-max limits them")
        default: self
        }
    }
}

private func explain(_ error: DevmemError) -> DevmemError {
    switch error.errno {
    case .addressInUse:
        error.advising("another process has the port: ss -ltnp shows it; or choose another port")
    case .addressNotAvailable:
        error.advising("not an address of this host; ip -brief address shows the existing ones")
    case .invalidArgument:
        error.advising("a link-local address needs its interface: [ADDRESS%IFACE]:PORT")
    case .permissionDenied: error.advising("ports below 1024 need CAP_NET_BIND_SERVICE")
    default: error
    }
}

/// Sets a socket option that is a number.
package func setOption(
    _ socket: borrowing Descriptor, _ level: Int32, _ option: Int32, _ value: Int32, _ call: String
) throws(DevmemError) {
    let number = socket.rawValue
    try retrying(call) {
        withUnsafePointer(to: value) {
            setsockopt(number, level, option, $0, socklen_t(MemoryLayout<Int32>.size))
        }
    }
}

/// The address that a socket has at this end.
func localEndpoint(of socket: Int32) -> Endpoint? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            getsockname(socket, $0, &length) == 0 ? Endpoint($0) : nil
        }
    }
}

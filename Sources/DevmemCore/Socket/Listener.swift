import CDevmem
import Glibc
import SystemPackage

/// A bound TCP socket that can listen for connections.
public struct Listener: ~Copyable {
    private let socket: Descriptor
    /// The bound address, with the port that the kernel chose if 0 was requested.
    public let endpoint: Endpoint

    /// The descriptor to poll for connections.
    public var rawValue: Int32 { socket.rawValue }

    /// Binds a socket to an address; it accepts no connections before `listen()`. On a host without
    /// IPv6 the IPv6 wildcard address becomes the IPv4 one.
    ///
    /// - Throws: `DevmemError` of kind `system` if the address is not local or is in use.
    public init(binding wanted: Endpoint) throws(DevmemError) {
        do throws(DevmemError) {
            try self.init(bindingOnly: wanted)
        } catch {
            guard let substitute = Self.substitute(for: wanted, after: error) else { throw error }
            try self.init(bindingOnly: substitute)
        }
    }

    /// Returns the IPv4 wildcard address for an IPv6 one that the host refused; otherwise nil.
    /// Pure.
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

    /// Starts listening for connections.
    ///
    /// - Parameter backlog: the backlog of listen(2); one more connection than this can wait. The
    ///   peers of further ones retry.
    /// - Throws: `DevmemError` of kind `system` if listen(2) fails, as when another socket uses the
    ///   port.
    public func listen(backlog: Int32 = 4096) throws(DevmemError) {
        do throws(DevmemError) {
            try retrying("listen on \(endpoint)") { Glibc.listen(rawValue, backlog) }
        } catch {
            throw explain(error)
        }
    }

    /// Sets the initial receive buffer of connections. Unlike a fixed limit it can grow later: the
    /// window scale follows from the largest buffer that the system allows (`tcp_openreq_init_rwin`
    /// of net/ipv4/tcp_minisocks.c).
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    func setInitialReceiveBuffer(to bytes: UInt64) throws(DevmemError) {
        let call = "set the initial receive buffers of \(endpoint)"
        // The kernel doubles the value to allow for bookkeeping overhead (socket(7)).
        try setOption(socket, SOL_SOCKET, SO_RCVBUF, Int32(clamping: bytes / 2), call)
        try setOption(socket, SOL_SOCKET, SO_BUF_LOCK, 0, call)
    }

    /// Stops listening. Connections that wait to be accepted are reset, so that they hold no
    /// memory.
    func stopListening() {
        _ = shutdown(rawValue, Int32(SHUT_RD))
    }

    /// The initial receive buffer of a connection in bytes (net.ipv4.tcp_rmem).
    var initialReceiveBuffer: UInt64 {
        let size = option(SOL_SOCKET, SO_RCVBUF, of: rawValue) ?? 0
        return size > 0 ? UInt64(size) : 128 << 10
    }

    /// Limits the unread payload of each connection.
    ///
    /// - Parameter bytes: the limit, which data already in flight may exceed.
    /// - Returns: the limit that the kernel set.
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) or getsockopt(2) fails.
    package func limitBuffers(to bytes: UInt64) throws(DevmemError) -> ReceiveBufferLimit {
        try limitReceiveBuffer(of: socket, to: bytes, "limit the receive buffers of \(endpoint)")
    }

    /// Accepts a waiting connection and sets its peer timeout.
    ///
    /// - Parameters:
    ///   - timeout: how long the peer may stay silent.
    ///   - short: called with the error if a resource such as descriptors is exhausted. The
    ///     connection keeps waiting, and this call sleeps briefly so that a retry loop does not
    ///     spin.
    ///   - lost: called with the error if the timeout cannot be set; the connection is closed.
    /// - Returns: the connection; nil if none waits, it is gone again, or a resource is exhausted.
    /// - Throws: `DevmemError` of kind `system` if the listening socket fails.
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
            switch AcceptFailure(errno) {
            case .connection: return nil
            case .shortage:
                short(error.explainingExhaustion())
                // Polling would not help: the socket stays readable.
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
            try connection.enableKeepalive(for: timeout)
        } catch {
            // The failure concerns this connection only.
            lost(error)
            return nil
        }
        return connection
    }

    /// Waits for a connection.
    ///
    /// - Parameter stop: the signals that end the wait.
    /// - Returns: the connection; nil if a signal arrived.
    /// - Throws: `DevmemError` of kind `system` if poll(2) or the listening socket fails.
    public func accept(until stop: borrowing StopSignal) throws(DevmemError) -> Connection? {
        while true {
            if case .stopped = try stop.wait(for: rawValue, events: Int32(POLLIN)) { return nil }
            if let connection = try accept() { return connection }
        }
    }

    /// The delay in milliseconds after a resource was exhausted.
    private static let shortageWait: Int32 = 100
}

/// The cause of an accept(2) failure. Pure.
enum AcceptFailure: Equatable {
    /// No connection waits, or it is gone again; the next call may succeed.
    case connection
    /// This process or the host has exhausted a resource, perhaps only for now.
    case shortage
    /// The listening socket failed.
    case socket

    /// Classifies an error number as described in accept(2).
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
    fileprivate func explainingExhaustion() -> DevmemError {
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

/// Returns the local address of a socket; nil if unknown.
func localEndpoint(of socket: Int32) -> Endpoint? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            getsockname(socket, $0, &length) == 0 ? Endpoint($0) : nil
        }
    }
}

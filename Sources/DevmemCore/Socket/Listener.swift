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

    /// Binds a socket to an address; nobody can connect before `listen()`.
    ///
    /// - Throws: `DevmemError` of kind `system` if the address is not this host's or is in use.
    public init(binding wanted: Endpoint) throws(DevmemError) {
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
    /// - Throws: `DevmemError` of kind `system`, among others if another socket has the port.
    public func listen() throws(DevmemError) {
        do throws(DevmemError) {
            try retrying("listen on \(endpoint)") { Glibc.listen(rawValue, SOMAXCONN) }
        } catch {
            throw explain(error)
        }
    }

    /// Bounds the memory that the unread payload of each connection may hold.
    ///
    /// - Parameter bytes: the bound; the kernel keeps to it but for what is in flight already.
    /// - Returns: the bound that the kernel set.
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    func limitBuffers(to bytes: UInt64) throws(DevmemError) -> BufferBound {
        try boundReceiveBuffer(of: socket, to: bytes, "bound the receive buffers of \(endpoint)")
    }

    /// Takes a waiting connection; nil if none waits or the one that did is gone.
    ///
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    public func accept() throws(DevmemError) -> Connection? {
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
            let code = Errno(rawValue: errno)
            switch code {
            case .wouldBlock, .connectionAbort, .interrupted: return nil
            default: throw DevmemError(.system, call: "accept on \(endpoint)", errno: code)
            }
        }
        let peer = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Endpoint($0) }
        }
        return Connection(owning: Descriptor(owning: number), peer: peer ?? endpoint)
    }
}

private func explain(_ error: DevmemError) -> DevmemError {
    switch error.errno {
    case .addressInUse:
        error.advising("another process has the port: ss -ltnp shows it; or choose another port")
    case .addressNotAvailable:
        error.advising("not an address of this host; ip -brief address shows those there are")
    case .invalidArgument:
        error.advising("a link-local address needs its interface: [ADDRESS%IFACE]:PORT")
    case .permissionDenied: error.advising("ports below 1024 need CAP_NET_BIND_SERVICE")
    default: error
    }
}

/// Sets a socket option that is a number.
func setOption(
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

import CDevmem
import Glibc
package import SystemPackage

extension Connection {
    /// Starts connecting to a peer; `finishConnecting()` reports the result.
    ///
    /// - Parameters:
    ///   - peer: the peer's address.
    ///   - local: the source address; nil to let the kernel choose it.
    ///   - device: the interface to bind the socket to (SO_BINDTODEVICE); nil to follow the routes.
    /// - Throws: `DevmemError` of kind `system` if the address cannot be used or there is no route.
    package init(
        to peer: Endpoint, from local: Endpoint?, pinnedTo device: NetworkInterface?
    ) throws(DevmemError) {
        let call = "connect to \(peer)"
        let number = try retrying(call) {
            Glibc.socket(
                peer.address.isIPv6 ? AF_INET6 : AF_INET,
                cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC | cdm_SOCK_NONBLOCK, 0)
        }
        let socket = Descriptor(owning: number)
        if let device { try Self.pin(socket, to: device) }
        if let local {
            try setOption(socket, SOL_SOCKET, SO_REUSEADDR, 1, call)
            try retrying("bind to \(local)") {
                local.withSocketAddress { bind(socket.rawValue, $0, $1) }
            }
        }
        do throws(DevmemError) {
            try retrying(call) {
                peer.withSocketAddress { Glibc.connect(socket.rawValue, $0, $1) }
            }
        } catch {
            guard error.errno == .nowInProgress else { throw explainConnect(error) }
        }
        self.init(owning: socket, peer: peer)
    }

    private static func pin(
        _ socket: borrowing Descriptor, to device: NetworkInterface
    ) throws(DevmemError) {
        let number = socket.rawValue
        try retrying("pin the connection to \(device.name)") {
            device.name.withCString {
                setsockopt(number, SOL_SOCKET, SO_BINDTODEVICE, $0, socklen_t(strlen($0)))
            }
        }
    }

    /// Completes connecting once the socket is writable, and sets the peer timeout.
    ///
    /// - Throws: `DevmemError` of kind `system` with the reason why connecting failed.
    package func finishConnecting(endingWhenSilent timeout: PeerTimeout = .standard)
        throws(DevmemError)
    {
        if let error = pendingError() {
            throw explainConnect(DevmemError(.system, call: "connect to \(peer)", errno: error))
        }
        try enableKeepalive(for: timeout)
    }

    /// Returns and clears the socket's pending error (SO_ERROR); nil if there is none.
    package func pendingError() -> Errno? {
        let code = option(SOL_SOCKET, SO_ERROR, of: rawValue) ?? 0
        return code == 0 ? nil : Errno(rawValue: code)
    }

    /// The local address.
    package var local: Endpoint? { localEndpoint(of: rawValue) }

    /// Enables SO_ZEROCOPY: the kernel uses the memory of a send until it reports its completion.
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    package func enableZerocopy() throws(DevmemError) {
        try setOption(socket, SOL_SOCKET, SO_ZEROCOPY, 1, "enable SO_ZEROCOPY")
    }

    /// The result of one send call.
    package enum Sent: Equatable {
        /// The number of bytes that the kernel accepted.
        case bytes(Int)
        /// Nothing was sent: the send buffer is full.
        case wouldBlock
        /// Nothing was sent: too many sends await completion (net.core.optmem_max).
        case noBuffers
    }

    /// Sends ranges of a bound dma-buf without blocking (`tcp_sendmsg_locked` of net/ipv4/tcp.c).
    /// The iovec addresses are offsets into the dma-buf.
    ///
    /// - Parameters:
    ///   - extents: up to two ranges in stream order; the second may be empty.
    ///   - control: the control message that names the binding.
    /// - Returns: the number of bytes that the kernel accepted, or why there are none.
    /// - Throws: `DevmemError` of kind `system` if sendmsg(2) fails, with advice for errors
    ///   specific to devmem TCP.
    func sendDevice(
        _ extents: (first: MemoryRange, second: MemoryRange),
        control: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) -> Sent {
        try send(extents, base: nil, control: control, flags: cdm_MSG_ZEROCOPY)
    }

    /// Sends ranges of a bound dma-buf in iovec entries of at most `size` bytes, up to the limit of
    /// one call.
    func sendDevice(
        _ extents: (first: MemoryRange, second: MemoryRange), inEntriesOf size: Int,
        control: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) -> Sent {
        let limit = Self.maximumEntries
        let first = extents.first.chunks(of: size, atMost: limit)
        let second = extents.second.chunks(of: size, atMost: limit - first.count)
        var vectors = (first + second).map { Self.vector($0, base: nil) }
        let result = vectors.withUnsafeMutableBufferPointer {
            send($0, control: control, flags: cdm_MSG_ZEROCOPY)
        }
        return try sent(result)
    }

    /// Sends ranges of ordinary memory without blocking.
    ///
    /// - Parameters:
    ///   - extents: up to two ranges in stream order; the second may be empty.
    ///   - base: the memory that the offsets refer to.
    /// - Returns: the number of bytes that the kernel accepted, or why there are none.
    /// - Throws: `DevmemError` of kind `system` if sendmsg(2) fails.
    func sendHost(
        _ extents: (first: MemoryRange, second: MemoryRange),
        base: UnsafeMutableRawPointer
    ) throws(DevmemError) -> Sent {
        let none = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        return try send(extents, base: base, control: none, flags: 0)
    }

    private func send(
        _ extents: (first: MemoryRange, second: MemoryRange),
        base: UnsafeMutableRawPointer?, control: UnsafeMutableRawBufferPointer, flags: Int32
    ) throws(DevmemError) -> Sent {
        var vectors = (
            Self.vector(extents.first, base: base), Self.vector(extents.second, base: base)
        )
        let result = withUnsafeMutableBytes(of: &vectors) { raw in
            let both = raw.assumingMemoryBound(to: iovec.self)
            return send(
                UnsafeMutableBufferPointer(rebasing: both[..<(extents.second.count > 0 ? 2 : 1)]),
                control: control, flags: flags)
        }
        return try sent(result)
    }

    /// The most iovec entries in one call (UIO_MAXIOV of linux/uio.h).
    private static let maximumEntries = 1024

    /// Returns the iovec of a range; without a base its address is the offset.
    private static func vector(
        _ extent: MemoryRange, base: UnsafeMutableRawPointer?
    ) -> iovec {
        let address = UInt(bitPattern: base) + UInt(extent.offset)
        return iovec(
            iov_base: UnsafeMutableRawPointer(bitPattern: address), iov_len: extent.count)
    }

    /// Calls sendmsg(2) once.
    private func send(
        _ vectors: UnsafeMutableBufferPointer<iovec>, control: UnsafeMutableRawBufferPointer,
        flags: Int32
    ) -> Result<Int, Errno> {
        var message = msghdr()
        message.msg_iov = vectors.baseAddress
        message.msg_iovlen = vectors.count
        message.msg_control = control.baseAddress
        message.msg_controllen = control.count
        while true {
            let count = sendmsg(rawValue, &message, flags | cdm_MSG_DONTWAIT | cdm_MSG_NOSIGNAL)
            let error = Errno(rawValue: errno)
            if count >= 0 { return .success(count) }
            if error != .interrupted { return .failure(error) }
        }
    }

    /// Interprets the result of sendmsg(2).
    private func sent(_ result: Result<Int, Errno>) throws(DevmemError) -> Sent {
        let error: Errno
        switch result {
        case .success(let count): return .bytes(count)
        case .failure(let code): error = code
        }
        if error == .wouldBlock { return .wouldBlock }
        if error == .noBufferSpace { return .noBuffers }
        throw explained(DevmemError(.system, .init(.send, "send to \(peer)"), errno: error))
            .explainingDisconnect()
    }

    /// Reads one message from the error queue.
    ///
    /// - Parameter control: a buffer for its control messages.
    /// - Returns: the completion; nil if the queue is empty.
    /// - Throws: `DevmemError` of kind `malformed` if the message cannot be parsed, `system` if it
    ///   reports an error or recvmsg(2) fails.
    package func completion(
        control: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) -> SendCompletion? {
        var message = msghdr()
        message.msg_control = control.baseAddress
        message.msg_controllen = control.count
        let count = recvmsg(rawValue, &message, cdm_MSG_ERRQUEUE | cdm_MSG_DONTWAIT)
        guard count >= 0 else {
            let error = Errno(rawValue: errno)
            if error == .wouldBlock || error == .interrupted { return nil }
            throw DevmemError(.system, call: "read the socket's error queue", errno: error)
        }
        let filled = UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(control)[..<Int(message.msg_controllen)])
        return try SendCompletion(readingErrorQueue: filled.bytes)
    }

    /// Receives ordinary payload without blocking.
    ///
    /// - Parameter data: the buffer to receive into.
    /// - Returns: the number of bytes, or why there are none.
    /// - Throws: `DevmemError` of kind `system` if recv(2) fails.
    package func receiveHost(
        into data: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) -> Received {
        let count = recv(rawValue, data.baseAddress, data.count, cdm_MSG_DONTWAIT)
        if count > 0 { return .bytes(count, controlLength: 0) }
        if count == 0 { return .end }
        let error = Errno(rawValue: errno)
        if error == .wouldBlock || error == .interrupted { return .wouldBlock }
        throw DevmemError(.system, call: "receive from \(peer)", errno: error)
            .explainingDisconnect()
    }

    /// Sends small writes at once instead of coalescing them (TCP_NODELAY of tcp(7)).
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    package func disableNagle() throws(DevmemError) {
        try setOption(socket, cdm_IPPROTO_TCP, TCP_NODELAY, 1, "enable TCP_NODELAY")
    }

    /// Sends a FIN; the other direction stays open.
    ///
    /// - Throws: `DevmemError` of kind `system` with the connection's error if it has ended.
    package func finishSending() throws(DevmemError) {
        do throws(DevmemError) {
            try retrying("end the stream to \(peer)") { shutdown(rawValue, cdm_SHUT_WR) }
        } catch {
            // A reset whose error has not been read yet.
            guard error.errno == .socketNotConnected else { throw error }
            throw deliveryError(pendingError() ?? .connectionReset)
        }
    }
}

private func explainConnect(_ error: DevmemError) -> DevmemError {
    switch error.errno {
    case .connectionRefused: error.advising("nothing listens there")
    case .noRouteToHost, .networkUnreachable: error.advising("ip route get shows the route")
    case .timedOut: error.advising("it does not answer")
    case .invalidArgument:
        error.advising("a link-local address needs its interface: [ADDRESS%IFACE]:PORT")
    default: error
    }
}

import CDevmem
import Glibc
import SystemPackage

/// A TCP connection whose payload may arrive in device memory.
public struct Connection: ~Copyable, Sendable {
    package let socket: Descriptor
    /// The peer's address.
    public let peer: Endpoint

    init(owning socket: consuming Descriptor, peer: Endpoint) {
        self.socket = socket
        self.peer = peer
    }

    /// Takes ownership of a TCP socket that the program has connected or accepted itself.
    ///
    /// Do not send device memory on a socket that the program has used with MSG_ZEROCOPY: the kernel
    /// numbers all sends of a socket from 0, so completions would be taken for those of other sends.
    ///
    /// - Parameter number: the socket's descriptor; on failure the caller still owns it.
    /// - Throws: `DevmemError` of kind `system` if the socket is not connected, `invalid` if it is
    ///   not an IP socket.
    public init(adopting number: Int32) throws(DevmemError) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let peer = try withUnsafeMutablePointer(to: &storage) { raw throws(DevmemError) in
            try raw.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                address throws(DevmemError) in
                try retrying("adopt a connection") { getpeername(number, address, &length) }
                return Endpoint(address)
            }
        }
        guard let peer else {
            throw DevmemError(
                .invalid, call: "adopt a connection", message: "it is not an IP socket")
        }
        self.init(owning: Descriptor(owning: number), peer: peer)
    }

    /// The descriptor to poll.
    public var rawValue: Int32 { socket.rawValue }

    /// The result of one receive call.
    package enum Received: Equatable {
        /// The number of bytes of the stream, and of control messages.
        case bytes(Int, controlLength: Int)
        /// No data is available.
        case wouldBlock
        /// The peer has closed its direction.
        case end
    }

    /// Receives once without blocking (`tcp_recvmsg_locked` of net/ipv4/tcp.c).
    ///
    /// - Parameters:
    ///   - data: the buffer for linear and ordinary bytes; its size also limits the bytes in device
    ///     memory that one call receives.
    ///   - control: the buffer for control messages, which limits the number of fragments.
    /// - Returns: the number of bytes, or why there are none.
    /// - Throws: `DevmemError` of kind `system` if recvmsg(2) fails, with advice for errors
    ///   specific to devmem TCP.
    func receive(
        data: UnsafeMutableRawBufferPointer, control: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) -> Received {
        var vector = iovec(iov_base: data.baseAddress, iov_len: data.count)
        var code: Int32 = 0
        var controlLength = 0
        let count = withUnsafeMutablePointer(to: &vector) { vector -> Int in
            var message = msghdr()
            message.msg_iov = vector
            message.msg_iovlen = 1
            message.msg_control = control.baseAddress
            message.msg_controllen = control.count
            let flags = DevmemSocketNumber.message | cdm_MSG_DONTWAIT
            let count = recvmsg(socket.rawValue, &message, flags)
            code = errno
            controlLength = Int(message.msg_controllen)
            return count
        }
        if count > 0 { return .bytes(count, controlLength: controlLength) }
        if count == 0 { return .end }
        let error = Errno(rawValue: code)
        if error == .wouldBlock || error == .interrupted { return .wouldBlock }
        throw explained(
            DevmemError(.system, .init(.receive, "receive from \(peer)"), errno: error)
        )
        .explainingDisconnect()
    }

    /// The size of the receive buffer in bytes (SO_RCVBUF of socket(7)); 0 if unknown.
    var receiveBufferSize: Int { Int(option(SOL_SOCKET, SO_RCVBUF, of: rawValue) ?? 0) }

    /// The NAPI instance that received the last packet; nil if unknown (SO_INCOMING_NAPI_ID of
    /// asm-generic/socket.h).
    package var incomingNAPI: UInt32? {
        let id = option(SOL_SOCKET, SO_INCOMING_NAPI_ID, of: rawValue) ?? 0
        return id == 0 ? nil : UInt32(bitPattern: id)
    }

    /// Sets SO_RCVLOWAT: poll(2) reports the connection as readable only with that many bytes
    /// available, or at the end of the stream (`tcp_set_rcvlowat` of net/ipv4/tcp.c). A receive
    /// call may return fewer.
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    func wake(at bytes: Int) throws(DevmemError) {
        try setOption(
            socket, SOL_SOCKET, SO_RCVLOWAT, Int32(clamping: bytes), "set SO_RCVLOWAT to \(bytes)")
    }

    /// Returns the fragments to the NIC and empties the batch.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `malformed` if it accepts
    ///   fewer fragments than the batch holds.
    package func returnTokens(_ batch: inout TokenBatch) throws(DevmemError) {
        try batch.returnTokens(to: rawValue)
    }

    /// Limits the unread payload of this connection.
    ///
    /// - Parameter bytes: the limit, which data already in flight may exceed.
    /// - Returns: the limit that the kernel set.
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) or getsockopt(2) fails.
    package func limitBuffers(to bytes: UInt64) throws(DevmemError) -> ReceiveBufferLimit {
        let call = "limit the receive buffer of \(peer)"
        let limit = try limitReceiveBuffer(of: socket, to: bytes, call)
        // The window was clamped at the handshake and grows beyond that only if the clamp is
        // raised.
        try setOption(socket, cdm_IPPROTO_TCP, TCP_WINDOW_CLAMP, Int32(clamping: bytes), call)
        return limit
    }
}

import CDevmem
import Glibc
import SystemPackage

/// An accepted TCP connection whose payload may arrive in device memory.
public struct Connection: ~Copyable, Sendable {
    package let socket: Descriptor
    /// The other end.
    public let peer: Endpoint

    init(owning socket: consuming Descriptor, peer: Endpoint) {
        self.socket = socket
        self.peer = peer
    }

    /// Adopts a TCP socket that the program connected or accepted itself, and closes it in the end.
    ///
    /// - Parameter number: its descriptor, which stays the program's if this fails.
    /// - Throws: `DevmemError` of kind `system` if it is not a connected socket.
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
                .invalid, call: "adopt a connection", message: "the socket is not one of IP")
        }
        self.init(owning: Descriptor(owning: number), peer: peer)
    }

    /// The descriptor to wait on.
    public var rawValue: Int32 { socket.rawValue }

    /// What one receive call brought.
    package enum Received: Equatable {
        /// Payload: so many bytes of the stream, with so many bytes of control messages.
        case bytes(Int, controlLength: Int)
        /// Nothing now.
        case wouldBlock
        /// The peer has sent everything.
        case end
    }

    /// Receives once, without waiting (`tcp_recvmsg_locked` of net/ipv4/tcp.c).
    ///
    /// - Parameters:
    ///   - data: its size bounds how many bytes one call takes, those in device memory included;
    ///     linear and ordinary bytes are put there.
    ///   - control: room for control messages, which bounds the number of fragments.
    /// - Returns: the bytes received, or why there are none.
    /// - Throws: `DevmemError` of kind `system`, with advice for the errors that devmem TCP has.
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
        .explainingLoss()
    }

    /// Bytes that may wait in the kernel to be received (SO_RCVBUF of socket(7)).
    var receiveBufferSize: Int {
        var size: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = getsockopt(rawValue, SOL_SOCKET, SO_RCVBUF, &size, &length)
        return result == 0 ? Int(size) : 0
    }

    /// The NAPI instance that its last packet came through; nil if the kernel does not tell
    /// (SO_INCOMING_NAPI_ID of asm-generic/socket.h).
    package var incomingNAPI: UInt32? {
        var id: UInt32 = 0
        var length = socklen_t(MemoryLayout<UInt32>.size)
        guard getsockopt(rawValue, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &length) == 0, id > 0
        else { return nil }
        return id
    }

    /// Has poll(2) call the connection readable only from so many bytes on, or at the end of the
    /// stream (SO_RCVLOWAT; `tcp_set_rcvlowat` of net/ipv4/tcp.c). Receiving takes fewer as well.
    ///
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    func wake(at bytes: Int) throws(DevmemError) {
        try setOption(
            socket, SOL_SOCKET, SO_RCVLOWAT, Int32(clamping: bytes), "set SO_RCVLOWAT to \(bytes)")
    }

    /// Gives fragments back to the NIC and empties the batch.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `malformed` if it took
    ///   fewer fragments than it was given.
    package func giveBack(_ batch: inout TokenBatch) throws(DevmemError) {
        try batch.giveBack(to: rawValue)
    }

    /// Bounds the memory that unread payload may hold.
    ///
    /// - Parameter bytes: the bound; the kernel exceeds it by what is in flight already.
    /// - Returns: the bound that the kernel set.
    /// - Throws: `DevmemError` of kind `system` as setsockopt(2) fails.
    package func limitBuffers(to bytes: UInt64) throws(DevmemError) -> BufferBound {
        let call = "bound the receive buffer of \(peer)"
        let bound = try boundReceiveBuffer(of: socket, to: bytes, call)
        // A window does not grow beyond its clamp at the handshake unless that is raised.
        try setOption(
            socket, cdm_IPPROTO_TCP, TCP_WINDOW_CLAMP, Int32(clamping: bytes),
            call)
        return bound
    }
}

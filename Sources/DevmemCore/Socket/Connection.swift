import CDevmem
import Glibc
import SystemPackage

/// An accepted TCP connection whose payload may arrive in device memory.
package struct Connection: ~Copyable, Sendable {
    package let socket: Descriptor
    /// The other end.
    package let peer: Endpoint

    init(owning socket: consuming Descriptor, peer: Endpoint) {
        self.socket = socket
        self.peer = peer
    }

    /// The descriptor to wait on.
    package var rawValue: Int32 { socket.rawValue }

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
        guard !batch.isEmpty else { return }
        let number = socket.rawValue
        // Unlike other options this one answers with a number: the fragments it took.
        let taken = batch.withUnsafeBytes { bytes -> Int32 in
            while true {
                let result = setsockopt(
                    number, SOL_SOCKET, DevmemSocketNumber.dontNeed, bytes.baseAddress,
                    socklen_t(bytes.count))
                if result >= 0 { return result }
                if errno != EINTR { return -errno }
            }
        }
        guard Int(taken) == batch.fragmentCount else {
            let operation = DevmemError.Operation(
                .returnTokens, "give \(batch.fragmentCount) fragments back to the NIC")
            throw taken < 0
                ? DevmemError(.system, operation, errno: Errno(rawValue: -taken))
                : DevmemError(.malformed, operation, message: "the kernel took \(taken)")
        }
        batch.removeAll()
    }
}

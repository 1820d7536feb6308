import CDevmem
import SystemPackage

/// The socket numbers of device memory TCP that differ by architecture or are not exported.
package enum DevmemSocketNumber {
    package static let message = Int32(CDM_MSG_SOCK_DEVMEM)
    static let linear = Int32(CDM_SO_DEVMEM_LINEAR)
    package static let dmabuf = Int32(CDM_SO_DEVMEM_DMABUF)
    package static let dontNeed = Int32(CDM_SO_DEVMEM_DONTNEED)
    /// SOL_SOCKET, the level that both kinds of control message stand at.
    package static let level = Int32(SOL_SOCKET)
}

/// One stretch of received payload as a control message describes it.
package enum PayloadFragment: Equatable, Sendable {
    /// Bytes at `offset` of the bound dma-buf; `token` gives the memory back.
    case device(offset: UInt64, length: UInt32, token: UInt32)
    /// Bytes that the kernel copied into the caller's buffer, in order.
    case linear(length: UInt32)
}

/// Reads the control messages of one `recvmsg(MSG_SOCK_DEVMEM)`, in stream order. Pure, and safe
/// on bytes that do not keep the rules (`tcp_recvmsg_dmabuf` of net/ipv4/tcp.c writes them).
package struct ControlMessageParser: Sendable {
    private static let headerSize = MemoryLayout<cdm_cmsghdr>.size

    private let dmabufID: UInt32
    private let dmabufSize: UInt64
    private var offset = 0

    /// Starts at the first control message.
    ///
    /// - Parameters:
    ///   - dmabufID: the binding's id; a fragment of any other is refused.
    ///   - dmabufSize: bytes in the dma-buf; a fragment that reaches beyond is refused.
    package init(dmabufID: UInt32, dmabufSize: UInt64) {
        self.dmabufID = dmabufID
        self.dmabufSize = dmabufSize
    }

    /// The next piece of payload.
    ///
    /// - Parameter control: the bytes of `msg_control` that the kernel filled; the same each time.
    /// - Returns: the piece; nil at the end.
    /// - Throws: `DevmemError` of kind `malformed` if a message is cut off, unknown, of the wrong
    ///   length or speaks of memory that is not in the dma-buf.
    @inline(__always)
    package mutating func next(in control: RawSpan) throws(DevmemError) -> PayloadFragment? {
        let left = control.byteCount - offset
        guard left > 0 else { return nil }
        guard left >= Self.headerSize else {
            throw malformed("\(left) bytes where a header needs \(Self.headerSize)")
        }
        let header = control.unsafeLoadUnaligned(fromByteOffset: offset, as: cdm_cmsghdr.self)
        guard header.cmsg_len >= Self.headerSize, header.cmsg_len <= left else {
            throw malformed("truncated: length \(header.cmsg_len) with \(left) bytes left")
        }
        let payload = offset + Self.headerSize
        let payloadSize = Int(header.cmsg_len) - Self.headerSize
        guard header.cmsg_level == DevmemSocketNumber.level,
            header.cmsg_type == DevmemSocketNumber.dmabuf
                || header.cmsg_type == DevmemSocketNumber.linear
        else { throw malformed("unknown type \(header.cmsg_type) at level \(header.cmsg_level)") }
        guard payloadSize == MemoryLayout<cdm_dmabuf_cmsg>.size else {
            throw malformed("wrong length: a payload of \(payloadSize) bytes")
        }
        let fragment = control.unsafeLoadUnaligned(
            fromByteOffset: payload, as: cdm_dmabuf_cmsg.self)
        offset += Self.aligned(Int(header.cmsg_len), within: left)
        guard header.cmsg_type == DevmemSocketNumber.dmabuf else {
            return .linear(length: fragment.frag_size)
        }
        guard fragment.dmabuf_id == dmabufID else {
            throw malformed("a fragment of dma-buf \(fragment.dmabuf_id), not \(dmabufID)")
        }
        let (end, overflow) = fragment.frag_offset.addingReportingOverflow(
            UInt64(fragment.frag_size))
        guard !overflow, end <= dmabufSize else {
            throw malformed(
                "\(fragment.frag_size) bytes at \(fragment.frag_offset) of a dma-buf of \(dmabufSize)"
            )
        }
        return .device(
            offset: fragment.frag_offset, length: fragment.frag_size, token: fragment.frag_token)
    }

    @inline(__always)
    private static func aligned(_ length: Int, within left: Int) -> Int {
        let alignment = Int(cdm_cmsg_alignment)
        return min((length + alignment - 1) & ~(alignment - 1), left)
    }

    /// Stands apart, with its words made only here, so that the way past it is short.
    @inline(never)
    private func malformed(_ what: @autoclosure () -> String) -> DevmemError {
        DevmemError(.malformed, call: "read a control message at byte \(offset)", message: what())
    }
}

import CDevmem
import SystemPackage

/// Socket constants of device memory TCP that differ by architecture or are not exported.
package enum DevmemSocketNumber {
    package static let message = Int32(CDM_MSG_SOCK_DEVMEM)
    static let linear = Int32(CDM_SO_DEVMEM_LINEAR)
    package static let dmabuf = Int32(CDM_SO_DEVMEM_DMABUF)
    package static let dontNeed = Int32(CDM_SO_DEVMEM_DONTNEED)
    /// SOL_SOCKET, the level of both kinds of control message.
    package static let level = Int32(SOL_SOCKET)
}

/// A fragment of received payload, as described by one control message.
package enum PayloadFragment: Equatable, Sendable {
    /// Bytes at `offset` in the bound dma-buf; `token` returns the memory.
    case device(offset: UInt64, length: UInt32, token: UInt32)
    /// Bytes that the kernel copied into the caller's buffer, in stream order.
    case linear(length: UInt32)
}

/// Parses the control messages of one `recvmsg(MSG_SOCK_DEVMEM)` in stream order. Pure, and safe on
/// malformed input (written by `tcp_recvmsg_dmabuf` of net/ipv4/tcp.c).
package struct ControlMessageParser: Sendable {
    private static let headerSize = MemoryLayout<cdm_cmsghdr>.size

    private let dmabufID: UInt32
    private let dmabufSize: UInt64
    private var offset = 0

    /// Creates a parser that starts at the first control message.
    ///
    /// - Parameters:
    ///   - dmabufID: the id of the binding; a fragment of any other is an error.
    ///   - dmabufSize: the size of the dma-buf in bytes; a fragment beyond it is an error.
    package init(dmabufID: UInt32, dmabufSize: UInt64) {
        self.dmabufID = dmabufID
        self.dmabufSize = dmabufSize
    }

    /// Returns the next fragment.
    ///
    /// - Parameter control: the bytes of `msg_control` that the kernel filled; the same in each
    ///   call.
    /// - Returns: the fragment; nil at the end.
    /// - Throws: `DevmemError` of kind `malformed` if a message is truncated, of unknown type, of
    ///   the wrong length or refers to memory outside the dma-buf.
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

    /// Kept out of line, and the message built only on failure, to keep the hot path short.
    @inline(never)
    private func malformed(_ what: @autoclosure () -> String) -> DevmemError {
        DevmemError(.malformed, call: "read a control message at byte \(offset)", message: what())
    }
}

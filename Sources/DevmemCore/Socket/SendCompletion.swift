import CDevmem
import Glibc
import SystemPackage

/// A zerocopy completion: a range of sends whose memory the kernel no longer uses.
package struct SendCompletion: Equatable, Sendable {
    /// The number of the first send, counted from 0 for each socket; it wraps at 32 bits.
    package var first: UInt32
    /// The number of the last send.
    package var last: UInt32
    /// Whether the kernel copied the data, which it cannot do with device memory.
    package var isCopied: Bool

    /// The number of sends.
    package var count: UInt32 { last &- first &+ 1 }

    /// Creates a completion from its values.
    package init(first: UInt32, last: UInt32, isCopied: Bool) {
        self.first = first
        self.last = last
        self.isCopied = isCopied
    }

    /// Parses one message of a socket's error queue (written by `__msg_zerocopy_callback` of
    /// net/core/skbuff.c). Pure, and safe on malformed input.
    ///
    /// - Parameter control: the bytes of `msg_control` that the kernel filled.
    /// - Throws: `DevmemError` of kind `malformed` if it contains no extended error, `system` if it
    ///   reports an error of the connection.
    package init(readingErrorQueue control: RawSpan) throws(DevmemError) {
        let headerSize = MemoryLayout<cdm_cmsghdr>.size
        var offset = 0
        while control.byteCount - offset >= headerSize {
            let header = control.unsafeLoadUnaligned(fromByteOffset: offset, as: cdm_cmsghdr.self)
            guard header.cmsg_len >= headerSize, header.cmsg_len <= control.byteCount - offset
            else { break }
            let length = Int(header.cmsg_len)
            if Self.isExtendedError(header) && length - headerSize >= cdm_extended_err_size {
                try self.init(extendedError: control, at: offset + headerSize)
                return
            }
            let alignment = Int(cdm_cmsg_alignment)
            offset += (length + alignment - 1) & ~(alignment - 1)
        }
        throw DevmemError(
            .malformed, call: "read the socket's error queue",
            message: "no extended error in \(control.byteCount) bytes")
    }

    private static func isExtendedError(_ header: cdm_cmsghdr) -> Bool {
        header.cmsg_level == cdm_IPPROTO_IP && header.cmsg_type == IP_RECVERR
            || header.cmsg_level == cdm_IPPROTO_IPV6 && header.cmsg_type == IPV6_RECVERR
    }

    private init(extendedError control: RawSpan, at start: Int) throws(DevmemError) {
        func word(_ offset: Int) -> UInt32 {
            control.unsafeLoadUnaligned(fromByteOffset: start + offset, as: UInt32.self)
        }
        func byte(_ offset: Int) -> UInt8 {
            control.unsafeLoad(fromByteOffset: start + offset, as: UInt8.self)
        }
        let code = Errno(rawValue: Int32(truncatingIfNeeded: word(cdm_extended_err_errno)))
        let origin = byte(cdm_extended_err_origin)
        guard origin == cdm_SO_EE_ORIGIN_ZEROCOPY, code.rawValue == 0 else {
            throw DevmemError(
                .system, call: "send", errno: code,
                message: "origin \(origin) of the error queue")
        }
        self.init(
            first: word(cdm_extended_err_info), last: word(cdm_extended_err_data),
            isCopied: byte(cdm_extended_err_code) & UInt8(SO_EE_CODE_ZEROCOPY_COPIED) != 0)
    }
}

/// Tracks which sends still use their memory, and up to which stream position all memory is free.
/// Pure.
package struct ZerocopyTracker: Sendable {
    private struct Entry {
        var end: UInt64
        var isDone: Bool
    }

    private var entries: [Entry] = []
    /// Entries before this index are complete and await removal.
    private var head = 0
    /// The number of the send at `head`.
    private var firstNumber: UInt32

    /// The stream position up to which no memory is in use, in bytes.
    package private(set) var freed: UInt64 = 0

    /// Creates a tracker with no sends.
    ///
    /// - Parameter firstNumber: the number of the first send; 0 on a new socket.
    package init(firstNumber: UInt32 = 0) {
        self.firstNumber = firstNumber
    }

    /// The number of incomplete sends.
    package var outstanding: Int { entries.count - head }

    /// Records a successful send.
    ///
    /// - Parameter end: the stream position after its last byte.
    package mutating func sent(upTo end: UInt64) {
        if head > 1024 && head * 2 > entries.count {
            entries.removeFirst(head)
            head = 0
        }
        entries.append(Entry(end: end, isDone: false))
    }

    /// Records completed sends; completions may arrive in any order.
    ///
    /// - Throws: `DevmemError` of kind `malformed` if one of them was not sent or was complete
    ///   before.
    package mutating func complete(_ completion: SendCompletion) throws(DevmemError) {
        let start = Int(completion.first &- firstNumber)
        let count = Int(completion.count)
        guard count > 0, start < outstanding, count <= outstanding - start else {
            throw unknown(completion)
        }
        for index in head + start..<head + start + count {
            guard !entries[index].isDone else { throw unknown(completion) }
            entries[index].isDone = true
        }
        while head < entries.count, entries[head].isDone {
            freed = entries[head].end
            head += 1
            firstNumber &+= 1
        }
    }

    private func unknown(_ completion: SendCompletion) -> DevmemError {
        DevmemError(
            .malformed, call: "read the socket's error queue",
            message: "sends \(completion.first) to \(completion.last) are reported complete, but "
                + "\(outstanding) from \(firstNumber) on are outstanding")
    }
}

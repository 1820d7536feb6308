import CDevmem
import CNetlink
import SystemPackage

/// A netlink request under construction, with one owner. libnl encodes it.
package struct NetlinkMessage: ~Copyable {
    let handle: OpaquePointer

    /// Starts a request for a command of a generic netlink family.
    package init(family: Int32, command: UInt8, version: UInt8, dump: Bool = false)
        throws(DevmemError)
    {
        // struct genlmsghdr: command, version and two reserved bytes.
        try self.init(
            type: UInt16(clamping: family), header: [command, version, 0, 0], dump: dump)
    }

    /// Starts a request of another netlink protocol with its own header before the attributes.
    package init(type: UInt16, header: [UInt8], dump: Bool = false) throws(DevmemError) {
        guard let handle = nlmsg_alloc() else {
            throw DevmemError(.system, call: "allocate a netlink message", errno: .noMemory)
        }
        let message = nlmsg_put(
            handle, UInt32(NL_AUTO_PORT), UInt32(NL_AUTO_SEQ), Int32(type), Int32(header.count),
            NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK))
        guard let message, let data = nlmsg_data(message) else {
            nlmsg_free(handle)
            throw DevmemError(.system, call: "allocate a netlink message", errno: .noMemory)
        }
        data.copyMemory(from: header, byteCount: header.count)
        self.handle = handle
    }

    deinit {
        nlmsg_free(handle)
    }

    package func put<Value: FixedWidthInteger>(_ type: UInt16, _ value: Value) throws(DevmemError) {
        try prepare(for: MemoryLayout<Value>.size)
        try check(withUnsafeBytes(of: value) { nla_put(handle, Int32(type), $0) })
    }

    func put(_ type: UInt16, _ text: String) throws(DevmemError) {
        let bytes = Array(text.utf8) + [0]
        try prepare(for: bytes.count)
        try check(bytes.withUnsafeBytes { nla_put(handle, Int32(type), $0) })
    }

    func put(_ type: UInt16, words: [UInt32]) throws(DevmemError) {
        try prepare(for: 4 * words.count)
        try check(words.withUnsafeBytes { nla_put(handle, Int32(type), $0) })
    }

    func put(_ type: UInt16, bytes: [UInt8]) throws(DevmemError) {
        try check(
            bytes.withUnsafeBytes {
                nla_put(handle, Int32(type), Int32($0.count), $0.baseAddress)
            })
    }

    /// Appends an attribute without payload.
    func putFlag(_ type: UInt16) throws(DevmemError) {
        try prepare(for: 0)
        try check(nla_put_flag(handle, Int32(type)))
    }

    /// Appends a nest with the attributes that `body` adds. NLA_F_NESTED is set, because families
    /// with strict validation require it.
    package func nest(
        _ type: UInt16, _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        try makeRoom(for: 0)
        // The message may move when it grows, so remember the start of the nest as an offset.
        let start = length
        guard nla_nest_start(handle, Int32(type | AttributeFlag.nested)) != nil else {
            throw noRoom
        }
        try body(self)
        try Self.checkLength(length - start)
        guard let header = nlmsg_hdr(handle) else { throw noRoom }
        let outer = UnsafeMutableRawPointer(header) + start
        guard nla_nest_end(handle, outer.assumingMemoryBound(to: nlattr.self)) >= 0 else {
            throw noRoom
        }
    }

    /// The bytes of the whole request, including the header.
    var bytes: [UInt8] {
        guard let header = nlmsg_hdr(handle) else { return [] }
        return [UInt8](
            UnsafeRawBufferPointer(start: header, count: Int(header.pointee.nlmsg_len)))
    }

    /// Makes libnl assign a new sequence number, so that the message can be sent again.
    func prepareForSending() {
        nlmsg_hdr(handle)?.pointee.nlmsg_seq = UInt32(NL_AUTO_SEQ)
    }

    private var length: Int { Int(nlmsg_hdr(handle)?.pointee.nlmsg_len ?? 0) }

    private func prepare(for payload: Int) throws(DevmemError) {
        try Self.checkLength(cdm_nlattr_size + payload)
        try makeRoom(for: payload)
    }

    private func check(_ code: Int32) throws(DevmemError) {
        if code < 0 { throw noRoom }
    }

    /// Grows the message for one more attribute: libnl allocates one page and does not enlarge it.
    private func makeRoom(for payload: Int) throws(DevmemError) {
        let needed = alignedToFour(length) + cdm_nlattr_size + alignedToFour(payload)
        guard needed > nlmsg_get_max_size(handle) else { return }
        guard needed <= Self.longest else {
            throw DevmemError(
                .invalid, call: "build a netlink message", errno: .messageTooLong,
                message: "it would exceed \(Self.longest) bytes")
        }
        guard nlmsg_expand(handle, max(needed, 2 * nlmsg_get_max_size(handle))) >= 0 else {
            throw noRoom
        }
    }

    /// Rejects an attribute whose length, including the header, exceeds 16 bits; libnl would
    /// truncate it.
    private static func checkLength(_ length: Int) throws(DevmemError) {
        guard length > Int(UInt16.max) else { return }
        throw DevmemError(
            .invalid, call: "build a netlink message", errno: .messageTooLong,
            message: "an attribute of \(length) bytes exceeds \(UInt16.max)")
    }

    /// Far more than the kernel accepts in one message.
    private static let longest = 1 << 24

    private var noRoom: DevmemError {
        DevmemError(.system, call: "build a netlink message", errno: .noMemory)
    }
}

private func nla_put(
    _ message: OpaquePointer, _ type: Int32, _ bytes: UnsafeRawBufferPointer
) -> Int32 {
    nla_put(message, type, Int32(bytes.count), bytes.baseAddress)
}

import CNetlink
import SystemPackage

/// A generic netlink request under construction, with one owner; libnl does the encoding.
struct NetlinkMessage: ~Copyable {
    let handle: OpaquePointer

    /// Starts a request of `command` for a generic netlink family.
    init(family: Int32, command: UInt8, version: UInt8, dump: Bool = false) throws(DevmemError) {
        let flags = NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK)
        guard let handle = nlmsg_alloc() else {
            throw DevmemError(.system, call: "allocate a netlink message", errno: .noMemory)
        }
        guard
            genlmsg_put(
                handle, UInt32(NL_AUTO_PORT), UInt32(NL_AUTO_SEQ), family, 0, flags, command,
                version) != nil
        else {
            nlmsg_free(handle)
            throw DevmemError(.system, call: "allocate a netlink message", errno: .noMemory)
        }
        self.handle = handle
    }

    /// Starts a request of another netlink protocol, `header` being what it puts before attributes.
    init(type: UInt16, header: [UInt8], dump: Bool = false) throws(DevmemError) {
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

    func put<Value: FixedWidthInteger>(_ type: UInt16, _ value: Value) throws(DevmemError) {
        let code = withUnsafeBytes(of: value) { bytes in
            nla_put(handle, Int32(type), Int32(bytes.count), bytes.baseAddress)
        }
        try check(code)
    }

    func put(_ type: UInt16, _ text: String) throws(DevmemError) {
        try check(nla_put_string(handle, Int32(type), text))
    }

    func put(_ type: UInt16, words: [UInt32]) throws(DevmemError) {
        let code = words.withUnsafeBytes { bytes in
            nla_put(handle, Int32(type), Int32(bytes.count), bytes.baseAddress)
        }
        try check(code)
    }

    func put(_ type: UInt16, bytes: [UInt8]) throws(DevmemError) {
        try check(
            bytes.withUnsafeBytes {
                nla_put(handle, Int32(type), Int32($0.count), $0.baseAddress)
            })
    }

    /// Puts an attribute without payload.
    func putFlag(_ type: UInt16) throws(DevmemError) {
        try check(nla_put_flag(handle, Int32(type)))
    }

    /// Puts attributes inside an attribute; NLA_F_NESTED is set, as strict families demand.
    func nest(
        _ type: UInt16, _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        let outer = nla_nest_start(handle, Int32(type | AttributeFlag.nested))
        guard let outer else { throw noRoom }
        try body(self)
        try check(nla_nest_end(handle, outer))
    }

    /// The bytes of the whole request, header included.
    var bytes: [UInt8] {
        guard let header = nlmsg_hdr(handle) else { return [] }
        return [UInt8](
            UnsafeRawBufferPointer(start: header, count: Int(header.pointee.nlmsg_len)))
    }

    private var noRoom: DevmemError {
        DevmemError(.system, call: "build a netlink message", errno: .noMemory)
    }

    private func check(_ code: Int32) throws(DevmemError) {
        if code < 0 { throw noRoom }
    }
}

import CDevmem
import CNetlink
import Glibc
import SystemPackage

/// A generic netlink socket with one owner. A device memory binding lives as long as the socket
/// that made it (`netdev_nl_sock_priv_destroy` of net/core/netdev-genl.c).
public struct NetlinkSocket: ~Copyable {
    /// Room for one message: an RSS table of a large NIC is of some ten thousand bytes.
    private static let bufferSize = 1 << 16

    private let handle: OpaquePointer
    /// What a message has between netlink's header and its attributes, in bytes.
    private let familyHeaderLength: Int

    /// Opens a generic netlink socket with extended acknowledgements on.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel gives no socket.
    public init() throws(DevmemError) {
        try self.init(protocol: NETLINK_GENERIC, familyHeaderLength: 4)
    }

    /// Opens a socket of any netlink protocol.
    init(protocol number: Int32, familyHeaderLength: Int) throws(DevmemError) {
        guard let handle = nl_socket_alloc() else {
            throw DevmemError(.system, call: "open a netlink socket", errno: .noMemory)
        }
        guard nl_connect(handle, number) == 0 else {
            let code = Errno(rawValue: errno)
            nl_socket_free(handle)
            throw DevmemError(.system, call: "open a netlink socket", errno: code)
        }
        // Kernels without either option answer with less text; that is no reason to fail.
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK] {
            var on: Int32 = 1
            _ = setsockopt(
                nl_socket_get_fd(handle), SOL_NETLINK, Int32(option), &on,
                socklen_t(MemoryLayout<Int32>.size))
        }
        nl_socket_set_msg_buf_size(handle, Self.bufferSize)
        self.handle = handle
        self.familyHeaderLength = familyHeaderLength
    }

    deinit {
        nl_socket_free(handle)
    }

    /// The number of a generic netlink family.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the running kernel has no such family.
    func family(_ name: String) throws(DevmemError) -> Int32 {
        let number = genl_ctrl_resolve(handle, name)
        guard number >= 0 else {
            throw DevmemError(
                .unsupported, call: "look up netlink family \(name)",
                message: String(cString: nl_geterror(number)),
                advice: "device memory TCP needs Linux 6.12 or newer with CONFIG_NET_DEVMEM")
        }
        return number
    }

    /// The commands that the running kernel has in a generic netlink family (`ctrl_fill_info` of
    /// net/netlink/genetlink.c).
    func commands(of family: String) throws(DevmemError) -> Set<UInt8> {
        let message = try NetlinkMessage(
            family: ControlNumber.family, command: ControlNumber.getFamily, version: 1)
        try message.put(ControlNumber.familyName, family)
        let reply = try request(message, call: "look up netlink family \(family)").first
        var commands: Set<UInt8> = []
        for operation in try reply?[ControlNumber.operations]?.nested().values ?? [] {
            let id = try operation.nested().uint32(ControlNumber.operationID)
            if let number = id.flatMap({ UInt8(exactly: $0) }) { commands.insert(number) }
        }
        return commands
    }

    /// Sends a request and collects the replies up to the acknowledgement or the dump's end.
    ///
    /// - Throws: `DevmemError` of kind `netlink` with the kernel's text and attribute if it
    ///   refuses; `system` if the socket fails; `malformed` if the answer cannot be read.
    func request(
        _ message: borrowing NetlinkMessage, call: String, names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [NetlinkAttributes] {
        var replies: [NetlinkAttributes] = []
        for payload in try payloads(message, call: call, names: names) {
            replies.append(try NetlinkAttributes(payload.dropFirst(familyHeaderLength)))
        }
        return replies
    }

    /// The same with what the family puts before the attributes, for those who must read that.
    func payloads(
        _ message: borrowing NetlinkMessage, call: String, names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [ArraySlice<UInt8>] {
        nl_complete_msg(handle, message.handle)
        let request = message.bytes
        let sequence = request[...].number32(at: 8)
        let sent = nl_send(handle, message.handle)
        guard sent >= 0 else {
            throw DevmemError(
                .system, call: call, message: String(cString: nl_geterror(sent)))
        }
        var replies: [ArraySlice<UInt8>] = []
        while true {
            for frame in try NetlinkFrame.split(try receive(call)) where frame.sequence == sequence
            {
                if let answer = try Acknowledgement(frame) {
                    if let error = answer.error(call: call, request: request, names: names) {
                        throw error
                    }
                    return replies
                }
                replies.append(frame.payload)
            }
        }
    }

    private func receive(_ call: String) throws(DevmemError) -> [UInt8] {
        var address = sockaddr_nl()
        var buffer: UnsafeMutablePointer<UInt8>?
        while true {
            let count = nl_recv(handle, &address, &buffer, nil)
            if count > 0, let bytes = buffer {
                defer { free(bytes) }
                return [UInt8](UnsafeBufferPointer(start: bytes, count: Int(count)))
            }
            if count == 0 || count == -NLE_INTR { continue }
            throw DevmemError(.system, call: call, message: String(cString: nl_geterror(count)))
        }
    }
}

/// The family that tells of the others (linux/genetlink.h and, of policies, linux/netlink.h).
enum ControlNumber {
    static let family: Int32 = 16
    static let getFamily: UInt8 = 3
    static let getPolicy: UInt8 = 10

    static let familyID: UInt16 = 1
    static let familyName: UInt16 = 2
    static let operations: UInt16 = 6
    static let groups: UInt16 = 7
    static let groupName: UInt16 = 1
    static let groupID: UInt16 = 2
    static let operationID: UInt16 = 1
    static let policy: UInt16 = 8
    static let commandPolicy: UInt16 = 9
    static let policyDo: UInt16 = 1
    /// Of an attribute in a policy: the number of the policy of what is nested in it.
    static let nestedPolicy: UInt16 = 8
}

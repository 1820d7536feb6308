import CDevmem
import CNetlink
import Glibc
import SystemPackage

/// A generic netlink socket with one owner. A device memory binding lives as long as the socket
/// that made it (`netdev_nl_sock_priv_destroy` of net/core/netdev-genl.c).
package struct NetlinkSocket: ~Copyable {
    /// Room to start with for what comes: the kernel makes the parts of a dump as large as the room it
    /// has seen, up to 32 KiB, and an RSS context must fit into one part.
    private static let bufferSize = 1 << 16
    /// What may lie in the socket, in bytes, either way. A request larger than the send buffer is
    /// refused; an attribute alone may be of 64 KiB.
    private static let socketBufferSize: Int32 = 1 << 18
    /// How many datagrams are taken at once.
    private static let mostQueued = 256
    /// How often a dump is asked for in all while the kernel says that it changed meanwhile.
    private static let dumpAttempts = 8

    private let handle: OpaquePointer
    /// What a message has between netlink's header and its attributes, in bytes.
    private let familyHeaderLength: Int

    /// Opens a generic netlink socket with extended acknowledgements on.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel gives no socket.
    package init() throws(DevmemError) {
        try self.init(
            protocol: cdm_NETLINK_GENERIC, familyHeaderLength: cdm_genlmsghdr_size)
    }

    /// Opens a socket of any netlink protocol.
    package init(protocol number: Int32, familyHeaderLength: Int) throws(DevmemError) {
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
        // Asks for each message's length first, so that the room grows with it.
        nl_socket_enable_msg_peek(handle)
        // The kernel grants what its limits allow, which is no reason to fail either.
        _ = nl_socket_set_buffer_size(handle, Self.socketBufferSize, Self.socketBufferSize)
        self.handle = handle
        self.familyHeaderLength = familyHeaderLength
    }

    deinit {
        nl_socket_free(handle)
    }

    /// The number of a generic netlink family.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the running kernel has no such family.
    package func family(_ name: String) throws(DevmemError) -> Int32 {
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
    package func request(
        _ message: borrowing NetlinkMessage, call: String, names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [NetlinkAttributes] {
        var replies: [NetlinkAttributes] = []
        for payload in try payloads(message, call: call, names: names) {
            replies.append(try NetlinkAttributes(payload.dropFirst(familyHeaderLength)))
        }
        return replies
    }

    /// The same with what the family puts before the attributes, for those who must read that.
    ///
    /// A dump that the kernel calls interrupted, as things were added or removed meanwhile, may lack
    /// some or hold some twice; it is asked for again.
    func payloads(
        _ message: borrowing NetlinkMessage, call: String, names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [ArraySlice<UInt8>] {
        for _ in 0..<Self.dumpAttempts {
            let replies = try ask(message, call: call, names: names)
            if !replies.isInterrupted { return replies.payloads }
        }
        throw DevmemError(
            .netlink, call: call, errno: .interrupted,
            message: "what is listed changed each of the \(Self.dumpAttempts) times it was read",
            advice: "try again")
    }

    private func ask(
        _ message: borrowing NetlinkMessage, call: String, names: AttributeNames
    ) throws(DevmemError) -> NetlinkReplies {
        message.prepareForSending()
        nl_complete_msg(handle, message.handle)
        let request = message.bytes
        let sent = nl_send(handle, message.handle)
        guard sent >= 0 else {
            throw DevmemError(
                .system, call: call, message: String(cString: nl_geterror(sent)))
        }
        var replies = NetlinkReplies(sequence: request[...].number32(at: cdm_nlmsghdr_seq))
        while true {
            guard let answer = try replies.take(try receive(call)) else { continue }
            if let error = answer.error(call: call, request: request, names: names) { throw error }
            return replies
        }
    }

    /// The socket's descriptor, to wait on.
    var rawValue: Int32 { nl_socket_get_fd(handle) }

    /// The number of a multicast group of a generic netlink family.
    func group(_ name: String, of family: String) throws(DevmemError) -> Int32 {
        let number = genl_ctrl_resolve_grp(handle, family, name)
        guard number >= 0 else {
            throw DevmemError(
                .unsupported, call: "listen to netlink group \(name) of \(family)",
                message: String(cString: nl_geterror(number)))
        }
        return number
    }

    /// Has the kernel send what it notifies a multicast group of.
    func join(_ group: Int32) throws(DevmemError) {
        var group = group
        try retrying("listen to netlink group \(group)") {
            setsockopt(
                rawValue, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// What the kernel has sent.
    struct Queue {
        var datagrams: [[UInt8]] = []
        /// Whether that is all of it: the kernel had to drop none, and no more lies there.
        var isWhole = true
    }

    /// Takes what lies in the socket, without waiting for more.
    ///
    /// - Throws: `DevmemError` of kind `system` as recvfrom(2) fails.
    func queued() throws(DevmemError) -> Queue {
        var queue = Queue()
        var buffer = [UInt8](repeating: 0, count: Self.bufferSize)
        // A flood of messages must not keep the caller from its other work.
        for _ in 0..<Self.mostQueued {
            do throws(DevmemError) {
                let (count, sender) = try receiveNow(into: &buffer)
                // Only the kernel's own word counts.
                if sender == 0 { queue.datagrams.append(Array(buffer.prefix(count))) }
            } catch {
                if error.errno == .resourceTemporarilyUnavailable { return queue }
                guard error.errno == .noBufferSpace else { throw error }
                queue.isWhole = false
            }
        }
        queue.isWhole = false
        return queue
    }

    /// One datagram's length, and the number of the socket that it came from.
    private func receiveNow(
        into buffer: inout [UInt8]
    ) throws(DevmemError) -> (count: Int, sender: UInt32) {
        var sender = sockaddr_nl()
        var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
        let count = try retrying("read netlink notifications") {
            buffer.withUnsafeMutableBytes { bytes in
                withUnsafeMutablePointer(to: &sender) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        recvfrom(
                            rawValue, bytes.baseAddress, bytes.count, cdm_MSG_DONTWAIT, $0,
                            &length)
                    }
                }
            }
        }
        return (count, sender.nl_pid)
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
    static let family = cdm_GENL_ID_CTRL
    static let getFamily = cdm_CTRL_CMD_GETFAMILY
    static let getPolicy = cdm_CTRL_CMD_GETPOLICY

    static let familyName = cdm_CTRL_ATTR_FAMILY_NAME
    static let operations = cdm_CTRL_ATTR_OPS
    static let operationID = cdm_CTRL_ATTR_OP_ID
    static let policy = cdm_CTRL_ATTR_POLICY
    static let commandPolicy = cdm_CTRL_ATTR_OP_POLICY
    static let policyDo = cdm_CTRL_ATTR_POLICY_DO
    /// Of an attribute in a policy: the number of the policy of what is nested in it.
    static let nestedPolicy = cdm_NL_POLICY_TYPE_ATTR_POLICY_IDX
}

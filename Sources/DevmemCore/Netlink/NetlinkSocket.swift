import CDevmem
import CNetlink
import Glibc
import SystemPackage

/// A netlink socket with one owner. A device memory binding lives as long as the socket that
/// created it (`netdev_nl_sock_priv_destroy` of net/core/netdev-genl.c).
package struct NetlinkSocket: ~Copyable {
    /// The initial receive buffer. The kernel sizes the parts of a dump by the largest buffer it
    /// has seen, up to 32 KiB, and an RSS context must fit in one part.
    private static let bufferSize = 1 << 16
    /// The size of both socket buffers. The kernel refuses a request larger than the send buffer,
    /// and a single attribute may have 64 KiB.
    private static let socketBufferSize: Int32 = 1 << 18
    /// The most datagrams read at once.
    private static let maximumDatagrams = 256
    /// How often a dump is tried while the kernel reports it as interrupted.
    private static let dumpAttempts = 8

    private let handle: OpaquePointer
    /// The bytes between the netlink header and the attributes.
    private let familyHeaderLength: Int

    /// Opens a generic netlink socket with extended acknowledgements.
    ///
    /// - Throws: `DevmemError` of kind `system` if the socket cannot be opened.
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
        // Kernels without these options return less detail; that is no failure.
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK] {
            var on: Int32 = 1
            _ = setsockopt(
                nl_socket_get_fd(handle), SOL_NETLINK, Int32(option), &on,
                socklen_t(MemoryLayout<Int32>.size))
        }
        nl_socket_set_msg_buf_size(handle, Self.bufferSize)
        // Query each message's length first and grow the buffer to fit.
        nl_socket_enable_msg_peek(handle)
        // The kernel may grant less; that is no failure either.
        _ = nl_socket_set_buffer_size(handle, Self.socketBufferSize, Self.socketBufferSize)
        self.handle = handle
        self.familyHeaderLength = familyHeaderLength
    }

    deinit {
        nl_socket_free(handle)
    }

    /// Looks up the id of a generic netlink family.
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

    /// Returns the commands of a generic netlink family in the running kernel (`ctrl_fill_info` of
    /// net/netlink/genetlink.c).
    func commands(of family: String) throws(DevmemError) -> Set<UInt8> {
        let message = try NetlinkMessage(
            family: ControlNumber.family, command: ControlNumber.getFamily, version: 1)
        try message.put(ControlNumber.familyName, family)
        let reply = try request(message, operation: "look up netlink family \(family)").first
        return try reply.map(ControlNumber.commands) ?? []
    }

    /// Sends a request and collects the replies up to the acknowledgement or the end of the dump.
    ///
    /// - Throws: `DevmemError` of kind `netlink` with the kernel's message and attribute if it
    ///   refuses; `system` if the socket fails; `malformed` if the reply cannot be parsed.
    package func request(
        _ message: borrowing NetlinkMessage, operation: DevmemError.Operation,
        names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [NetlinkAttributes] {
        var replies: [NetlinkAttributes] = []
        for payload in try payloads(message, operation: operation, names: names) {
            replies.append(try NetlinkAttributes(payload.dropFirst(familyHeaderLength)))
        }
        return replies
    }

    /// Sends a request like `request`, but returns the payloads with the family's own header.
    ///
    /// A dump that the kernel reports as interrupted, because objects were added or removed, may be
    /// incomplete or contain duplicates; it is repeated.
    func payloads(
        _ message: borrowing NetlinkMessage, operation: DevmemError.Operation,
        names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [ArraySlice<UInt8>] {
        for _ in 0..<Self.dumpAttempts {
            let replies = try ask(message, operation: operation, names: names)
            if !replies.isInterrupted { return replies.payloads }
        }
        throw DevmemError(
            .netlink, operation, errno: .interrupted,
            message: "the list changed each of the \(Self.dumpAttempts) times that it was read",
            advice: "try again")
    }

    private func ask(
        _ message: borrowing NetlinkMessage, operation: DevmemError.Operation, names: AttributeNames
    ) throws(DevmemError) -> NetlinkReplies {
        message.prepareForSending()
        nl_complete_msg(handle, message.handle)
        let request = message.bytes
        let sent = nl_send(handle, message.handle)
        guard sent >= 0 else {
            throw DevmemError(
                .system, operation, message: String(cString: nl_geterror(sent)))
        }
        var replies = NetlinkReplies(sequence: request[...].number32(at: cdm_nlmsghdr_seq))
        while true {
            guard let answer = try replies.take(try receive(operation)) else { continue }
            if let error = answer.error(operation: operation, request: request, names: names) {
                throw error
            }
            return replies
        }
    }

    /// The socket's descriptor, for polling.
    var rawValue: Int32 { nl_socket_get_fd(handle) }

    /// Looks up the id of a multicast group of a generic netlink family.
    func group(_ name: String, of family: String) throws(DevmemError) -> Int32 {
        let number = genl_ctrl_resolve_grp(handle, family, name)
        guard number >= 0 else {
            throw DevmemError(
                .unsupported, call: "listen to netlink group \(name) of \(family)",
                message: String(cString: nl_geterror(number)))
        }
        return number
    }

    /// Subscribes to a multicast group's notifications.
    func join(_ group: Int32) throws(DevmemError) {
        var group = group
        try retrying("listen to netlink group \(group)") {
            setsockopt(
                rawValue, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// The pending datagrams.
    struct Queue {
        var datagrams: [[UInt8]] = []
        /// Whether they are complete: the kernel dropped none and no more are pending.
        var isWhole = true
    }

    /// Reads the pending datagrams without blocking.
    ///
    /// - Throws: `DevmemError` of kind `system` if recvfrom(2) fails.
    func queued() throws(DevmemError) -> Queue {
        var queue = Queue()
        var buffer = [UInt8](repeating: 0, count: Self.bufferSize)
        // A flood of messages must not keep the caller from other work.
        for _ in 0..<Self.maximumDatagrams {
            do throws(DevmemError) {
                let (count, sender) = try receiveNow(into: &buffer)
                // Accept only messages from the kernel.
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

    /// Reads one datagram; returns its length and the port id of its sender.
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

    private func receive(_ operation: DevmemError.Operation) throws(DevmemError) -> [UInt8] {
        var address = sockaddr_nl()
        var buffer: UnsafeMutablePointer<UInt8>?
        while true {
            let count = nl_recv(handle, &address, &buffer, nil)
            if count > 0, let bytes = buffer {
                defer { free(bytes) }
                return [UInt8](UnsafeBufferPointer(start: bytes, count: Int(count)))
            }
            if count == 0 || count == -NLE_INTR { continue }
            throw DevmemError(.system, operation, message: String(cString: nl_geterror(count)))
        }
    }
}

/// The generic netlink controller (linux/genetlink.h; for policies, linux/netlink.h).
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
    /// In the policy of an attribute: the number of the policy for its nested attributes.
    static let nestedPolicy = cdm_NL_POLICY_TYPE_ATTR_POLICY_IDX

    /// Returns the commands of the family that a reply describes. Pure.
    static func commands(_ reply: NetlinkAttributes) throws(DevmemError) -> Set<UInt8> {
        var commands: Set<UInt8> = []
        for operation in try reply[operations]?.nested().values ?? [] {
            let id = try operation.nested().uint32(operationID)
            if let number = id.flatMap({ UInt8(exactly: $0) }) { commands.insert(number) }
        }
        return commands
    }
}

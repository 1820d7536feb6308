import CDevmem
import CNetlink
import Glibc
import SystemPackage

/// A generic netlink socket with one owner. A device memory binding lives as long as the socket
/// that made it (`netdev_nl_sock_priv_destroy` of net/core/netdev-genl.c).
public struct NetlinkSocket: ~Copyable {
    private let handle: OpaquePointer

    /// Opens a socket with extended acknowledgements on.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel gives no socket.
    public init() throws(DevmemError) {
        guard let handle = nl_socket_alloc() else {
            throw DevmemError(.system, call: "open a netlink socket", errno: .noMemory)
        }
        guard genl_connect(handle) == 0 else {
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
        self.handle = handle
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

    /// Sends a request and collects the replies up to the acknowledgement or the dump's end.
    ///
    /// - Throws: `DevmemError` of kind `netlink` with the kernel's text and attribute if it
    ///   refuses; `system` if the socket fails; `malformed` if the answer cannot be read.
    func request(
        _ message: borrowing NetlinkMessage, call: String, names: AttributeNames = AttributeNames()
    ) throws(DevmemError) -> [NetlinkAttributes] {
        nl_complete_msg(handle, message.handle)
        let request = message.bytes
        let sequence = request[...].number32(at: 8)
        let sent = nl_send(handle, message.handle)
        guard sent >= 0 else {
            throw DevmemError(
                .system, call: call, message: String(cString: nl_geterror(sent)))
        }
        var replies: [NetlinkAttributes] = []
        while true {
            for frame in try NetlinkFrame.split(try receive(call)) where frame.sequence == sequence
            {
                if let answer = try Acknowledgement(frame) {
                    if let error = answer.error(call: call, request: request, names: names) {
                        throw error
                    }
                    return replies
                }
                replies.append(try NetlinkAttributes(frame.payload.dropFirst(4)))
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

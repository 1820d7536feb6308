import CDevmem
import Glibc
import SystemPackage

/// A descriptor that passes between processes through a unix socket (SCM_RIGHTS of unix(7)), with a
/// text.
enum PassedDescriptor {
    /// The most bytes of text that are received.
    private static let textLimit = 64 << 10
    /// How long a peer may take to accept the connection, and then to send it, in milliseconds.
    private static let timeout: Int32 = 10_000

    /// Sends a descriptor and a text, without blocking.
    ///
    /// - Parameters:
    ///   - number: the descriptor.
    ///   - text: what to send with it; not empty.
    ///   - socket: a connected unix socket.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sendmsg(2).
    static func send(
        _ number: Int32, with text: String, over socket: borrowing Descriptor
    ) throws(DevmemError) {
        let control = DescriptorControl()
        control.put(number)
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: text.utf8.count, alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: text.utf8)
        let call = "pass a descriptor"
        let count = try control.withMessage(bytes) { message throws(DevmemError) in
            try retrying(call) {
                sendmsg(socket.rawValue, &message, cdm_MSG_NOSIGNAL | cdm_MSG_DONTWAIT)
            }
        }
        guard count == bytes.count else {
            throw DevmemError(.system, call: call, errno: .wouldBlock)
        }
    }

    /// Connects to a unix socket and receives the descriptor that its owner sends.
    ///
    /// - Parameters:
    ///   - path: the socket's path, or its abstract name with a leading @.
    ///   - text: set to the text that came with it.
    ///   - milliseconds: how long the owner may take for each step.
    /// - Returns: the descriptor.
    /// - Throws: `DevmemError` of kind `system` if there is no such socket or nothing comes in that
    ///   time, `malformed` for anything but one descriptor.
    static func receive(
        from path: String, _ text: inout String, within milliseconds: Int32 = timeout
    ) throws(DevmemError) -> Descriptor {
        let call = "receive a descriptor from \(path)"
        guard let address = UnixAddress(path) else {
            throw DevmemError(
                .invalid, call: call, message: "it is not a path that begins with / or @")
        }
        let socket = Descriptor(
            owning: try retrying(call) {
                Glibc.socket(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0)
            })
        try connect(socket, to: address, within: milliseconds, call)
        guard try poll(socket.rawValue, for: .input, milliseconds: milliseconds) else {
            throw DevmemError(.system, call: call, errno: .timedOut)
        }
        let control = DescriptorControl()
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: textLimit, alignment: 1)
        defer { bytes.deallocate() }
        var taken: Int32?
        var isCut = false
        let count = try control.withMessage(bytes) { message throws(DevmemError) in
            let count = try retrying(call) {
                recvmsg(socket.rawValue, &message, cdm_MSG_CMSG_CLOEXEC)
            }
            isCut = message.msg_flags & cdm_MSG_CTRUNC != 0
            taken = control.take(length: message.msg_controllen)
            return count
        }
        guard let taken else {
            throw DevmemError(.malformed, call: call, message: "none came")
        }
        let descriptor = Descriptor(owning: taken)
        guard !isCut else {
            throw DevmemError(.malformed, call: call, message: "more than one came")
        }
        text = String(decoding: bytes.prefix(count), as: UTF8.self)
        return descriptor
    }

    /// Connects, which waits while the peer has accepted none of the connections before.
    private static func connect(
        _ socket: borrowing Descriptor, to address: UnixAddress, within milliseconds: Int32,
        _ call: String
    ) throws(DevmemError) {
        let number = socket.rawValue
        try setSendTimeout(number, milliseconds: milliseconds, call)
        do throws(DevmemError) {
            try retrying(call) { address.withSocketAddress { Glibc.connect(number, $0, $1) } }
        } catch {
            guard error.errno == .wouldBlock else { throw error }
            throw DevmemError(.system, call: call, errno: .timedOut)
        }
    }
}

/// Room for the control message of one descriptor.
struct DescriptorControl: ~Copyable {
    private static let header = MemoryLayout<cdm_cmsghdr>.size
    private static let length = header + MemoryLayout<Int32>.size

    private let bytes: UnsafeMutableRawBufferPointer

    init() {
        // No more than one descriptor fits, so that the kernel closes others (MSG_CTRUNC).
        bytes = .allocate(byteCount: Self.length, alignment: Int(cdm_cmsg_alignment))
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        bytes.deallocate()
    }

    func put(_ number: Int32) {
        bytes.storeBytes(
            of: cdm_cmsghdr(
                cmsg_len: Self.length, cmsg_level: SOL_SOCKET, cmsg_type: cdm_SCM_RIGHTS),
            as: cdm_cmsghdr.self)
        bytes.storeBytes(of: number, toByteOffset: Self.header, as: Int32.self)
    }

    /// Returns the descriptor that was received; nil if there is none.
    func take(length: Int) -> Int32? {
        Self.descriptor(in: UnsafeRawBufferPointer(bytes).bytes, length: length)
    }

    /// Returns the descriptor in the bytes of `msg_control`, of which the kernel filled some; nil if
    /// there is none. Pure, and safe on malformed input.
    static func descriptor(in control: RawSpan, length: Int) -> Int32? {
        guard length >= Self.length, control.byteCount >= Self.length else { return nil }
        let header = control.unsafeLoadUnaligned(as: cdm_cmsghdr.self)
        guard header.cmsg_len == Self.length, header.cmsg_level == SOL_SOCKET,
            header.cmsg_type == cdm_SCM_RIGHTS
        else { return nil }
        return control.unsafeLoadUnaligned(fromByteOffset: Self.header, as: Int32.self)
    }

    func withMessage<Result>(
        _ data: UnsafeMutableRawBufferPointer,
        _ body: (inout msghdr) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        var vector = iovec(iov_base: data.baseAddress, iov_len: data.count)
        return try withUnsafeMutablePointer(to: &vector) { vector throws(DevmemError) in
            var message = msghdr()
            message.msg_iov = vector
            message.msg_iovlen = 1
            message.msg_control = bytes.baseAddress
            message.msg_controllen = bytes.count
            return try body(&message)
        }
    }
}

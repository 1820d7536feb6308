import CDevmem
import Glibc
package import Logging
import SystemPackage

/// Hands a bound dma-buf over to each program that connects to a unix socket: one message with the
/// descriptor (SCM_RIGHTS of unix(7)) and a text, after which the connection is closed. Only its
/// owner and root can connect. The socket is removed with this object.
package final class DmabufServer {
    private let path: String
    private let listener: Descriptor
    private let memory: BoundMemory
    private let text: String
    private let logger: Logger
    private var refusals = MessageLimit()

    /// How many programs are served at once, and may wait.
    private static let mostAtOnce: Int32 = 16
    /// The delay in milliseconds after a program could not be accepted.
    private static let refusalWait: Int32 = 100

    /// Starts listening.
    ///
    /// - Parameters:
    ///   - path: the socket's path; a socket of the same name that nobody listens on is replaced.
    ///   - memory: the dma-buf.
    ///   - text: what to send with it.
    ///   - owner: the user who may connect; nil for this process's.
    ///   - logger: logs each program at level debug, and failures at level warning.
    /// - Throws: `DevmemError` of kind `invalid` for a path that is none or a dma-buf in parts,
    ///   `system` if the kernel refuses.
    package init(
        at path: String, for memory: BoundMemory, with text: String, owner: UInt32? = nil,
        logger: Logger
    ) throws(DevmemError) {
        let call = "listen on \(path)"
        // An abstract name has no owner.
        guard path.hasPrefix("/"), let address = UnixAddress(path) else {
            throw DevmemError(
                .invalid, call: call,
                message: "it is not a path that begins with /, of at most 107 bytes")
        }
        let listener = Descriptor(
            owning: try retrying(call) {
                socket(
                    AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC | cdm_SOCK_NONBLOCK, 0)
            })
        // The mode of the socket becomes that of its file (`unix_bind_bsd` of net/unix/af_unix.c).
        try retrying(call) { fchmod(listener.rawValue, 0o600) }
        do throws(DevmemError) {
            try Self.bind(listener, to: address, call)
        } catch {
            guard error.errno == .addressInUse, Self.isAbandoned(path, address) else { throw error }
            unlink(path)
            try Self.bind(listener, to: address, call)
        }
        self.path = path
        self.listener = listener
        self.memory = memory
        self.text = text
        self.logger = logger
        if let owner {
            try Self.give(path, to: owner)
        }
        try retrying(call) { Glibc.listen(self.listener.rawValue, Self.mostAtOnce) }
    }

    deinit { unlink(path) }

    /// The descriptor that becomes readable when a program connects.
    package var rawValue: Int32 { listener.rawValue }

    /// Hands the dma-buf over to each program that waits, but returns to the caller now and then; does
    /// nothing if none waits.
    package func serve() {
        for _ in 0..<Self.mostAtOnce {
            let number: Int32
            do throws(DevmemError) {
                number = try retrying("accept a program on \(path)") {
                    cdm_accept4(listener.rawValue, nil, nil, cdm_SOCK_CLOEXEC)
                }
            } catch {
                guard error.errno != .wouldBlock else { return }
                if refusals.admits() { logger.warning("\(error)") }
                // The socket stays readable, as when there are too many open files.
                _ = poll(nil, 0, Self.refusalWait)
                return
            }
            do throws(DevmemError) {
                try PassedDescriptor.send(
                    memory.dmabuf.rawValue, with: text, over: Descriptor(owning: number))
                logger.debug("the dma-buf is handed over through \(path)")
            } catch {
                // One that only looked whether anybody listens is gone already.
                logger.debug("\(error)")
            }
        }
    }

    /// Gives the socket to a user, who may own its folder and have put another file in its place: that
    /// keeps its owner.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if the path is no longer the socket.
    static func give(_ path: String, to owner: UInt32) throws(DevmemError) {
        let call = "give \(path) to user \(owner)"
        let file = try Descriptor.open(path, cdm_O_PATH | O_NOFOLLOW)
        var status = stat()
        try retrying(call) { fstat(file.rawValue, &status) }
        guard status.st_mode & S_IFMT == S_IFSOCK, status.st_uid == geteuid(),
            status.st_nlink == 1
        else { throw DevmemError(.invalid, call: call, message: "another file is in its place") }
        try retrying(call) {
            fchownat(file.rawValue, "", owner, gid_t.max, cdm_AT_EMPTY_PATH)
        }
    }

    private static func bind(
        _ listener: borrowing Descriptor, to address: UnixAddress, _ call: String
    ) throws(DevmemError) {
        let number = listener.rawValue
        try retrying(call) { address.withSocketAddress { Glibc.bind(number, $0, $1) } }
    }

    /// Whether a path is a socket that nobody listens on, as a killed process leaves it.
    private static func isAbandoned(_ path: String, _ address: UnixAddress) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
        let number = socket(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC | cdm_SOCK_NONBLOCK, 0)
        guard number >= 0 else { return false }
        let probe = Descriptor(owning: number)
        let code = address.withSocketAddress { Glibc.connect(probe.rawValue, $0, $1) }
        return code != 0 && errno == ECONNREFUSED
    }
}

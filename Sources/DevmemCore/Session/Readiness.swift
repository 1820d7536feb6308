import CDevmem
import Glibc
import SystemPackage

/// Tells a service manager how far this service is (sd_notify(3)).
public struct Readiness: Sendable {
    private let socketPath: String?

    /// Talks to the socket that the environment names, if it does.
    public init(environment: [String: String]) {
        socketPath = environment["NOTIFY_SOCKET"]
    }

    /// Says that the service is ready; nothing happens without a service manager.
    ///
    /// - Parameter status: what it does, in words.
    /// - Throws: `DevmemError` of kind `system` if the message cannot be sent.
    public func ready(status: String) throws(DevmemError) {
        try send("READY=1\nSTATUS=\(status)")
    }

    /// Says that the service is about to end.
    ///
    /// - Throws: `DevmemError` of kind `system` if the message cannot be sent.
    public func stopping() throws(DevmemError) {
        try send("STOPPING=1")
    }

    private func send(_ message: String) throws(DevmemError) {
        guard let socketPath, let address = Self.address(of: socketPath) else { return }
        let call = "notify \(socketPath)"
        let number = try retrying(call) { socket(AF_UNIX, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0) }
        let descriptor = Descriptor(owning: number)
        let bytes = Array(message.utf8)
        try retrying(call) {
            withUnsafeBytes(of: address.storage) { raw in
                sendto(
                    descriptor.rawValue, bytes, bytes.count, Int32(cdm_MSG_NOSIGNAL),
                    raw.assumingMemoryBound(to: sockaddr.self).baseAddress, address.length)
            }
        }
    }

    /// A socket's address by its path; a leading @ stands for the abstract namespace. Nil if it is
    /// neither or too long.
    static func address(of path: String) -> (storage: sockaddr_un, length: socklen_t)? {
        var bytes = Array(path.utf8)
        guard let first = bytes.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@"),
            bytes.count > 1
        else { return nil }
        if first == UInt8(ascii: "@") { bytes[0] = 0 }
        var storage = sockaddr_un()
        guard bytes.count < MemoryLayout.size(ofValue: storage.sun_path) else { return nil }
        storage.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &storage.sun_path) { $0.copyBytes(from: bytes) }
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        return (storage, socklen_t(start + bytes.count))
    }
}

import CDevmem
import Glibc
import SystemPackage

/// Notifies a service manager of this service's state (sd_notify(3)).
package struct Readiness: Sendable {
    private let socketPath: String?
    private let milliseconds: Int32

    /// Uses the socket named by the environment, if any.
    ///
    /// - Parameters:
    ///   - environment: the variables.
    ///   - milliseconds: the timeout of a message, as the manager may not read its socket.
    package init(environment: [String: String], milliseconds: Int32 = 5000) {
        socketPath = environment["NOTIFY_SOCKET"]
        self.milliseconds = milliseconds
    }

    /// Reports that the service is ready; does nothing without a service manager.
    ///
    /// - Parameter status: the status text.
    /// - Throws: `DevmemError` of kind `system` if the message cannot be sent.
    package func ready(status: String) throws(DevmemError) {
        try send("READY=1\nSTATUS=\(status)")
    }

    /// Reports that the service is stopping.
    ///
    /// - Throws: `DevmemError` of kind `system` if the message cannot be sent.
    package func stopping() throws(DevmemError) {
        try send("STOPPING=1")
    }

    private func send(_ message: String) throws(DevmemError) {
        guard let socketPath, let address = UnixAddress(socketPath) else { return }
        let call = "notify \(socketPath)"
        let number = try retrying(call) { socket(AF_UNIX, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0) }
        let descriptor = Descriptor(owning: number)
        try setSendTimeout(number, milliseconds: milliseconds, call)
        let bytes = Array(message.utf8)
        try retrying(call) {
            address.withSocketAddress {
                sendto(descriptor.rawValue, bytes, bytes.count, Int32(cdm_MSG_NOSIGNAL), $0, $1)
            }
        }
    }
}

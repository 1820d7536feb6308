public import SystemPackage

/// The error type of the library: what failed, the kernel's explanation, and what to do about it.
///
/// `description` is a single line fit for a terminal or a log.
public struct DevmemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The source of a failure.
    public enum Kind: String, Equatable, Sendable {
        /// A system call failed; `errno` says how.
        case system
        /// The kernel rejected a netlink request.
        case netlink
        /// Bytes from the kernel or the network violate their format.
        case malformed
        /// The kernel, the NIC or the driver does not support the request.
        case unsupported
        /// The request does not make sense on this host.
        case invalid
        /// The payload differs from what was expected.
        case corrupt
    }

    /// The source of the failure.
    public var kind: Kind
    /// The failed operation, such as `bind-rx on eth1` or `open /dev/udmabuf`.
    public var operation: Operation
    /// The kernel's error number, if it returned one.
    public var errno: Errno?
    /// The kernel's message (extack), or details of the failure.
    public var message: String?
    /// The netlink attribute that the kernel rejected, such as `queues.id`.
    public var attribute: String?
    /// What the user can do about it.
    public var advice: Advice?
    /// The signal that interrupted the operation, if one did.
    public var signal: Int32?

    /// Creates an error from its parts.
    public init(
        _ kind: Kind, _ operation: Operation, errno: Errno? = nil, message: String? = nil,
        attribute: String? = nil, advice: Advice? = nil
    ) {
        self.kind = kind
        self.operation = operation
        self.errno = errno
        self.message = message
        self.attribute = attribute
        self.advice = advice
    }

    /// Creates an error of an operation of kind `other`.
    public init(
        _ kind: Kind, call text: String, errno: Errno? = nil, message: String? = nil,
        attribute: String? = nil, advice: Advice? = nil
    ) {
        self.init(
            kind, Operation(.other, text), errno: errno, message: message, attribute: attribute,
            advice: advice)
    }

    /// Returns the error of an operation that a signal ended before it was done.
    package static func interrupted(_ call: String, by signal: Int32) -> DevmemError {
        var error = DevmemError(.system, call: call, errno: .interrupted)
        error.signal = signal
        return error
    }

    /// Returns this error with advice added, unless it already has some.
    package func advising(_ more: Advice) -> DevmemError {
        var copy = self
        copy.advice = advice ?? more
        return copy
    }

    /// Returns the error with the interface's name in its advice.
    package func naming(_ interface: String) -> DevmemError {
        var copy = self
        copy.advice = advice?.naming(interface)
        return copy
    }

    /// A single line with the operation, the kernel's message, the rejected attribute and the
    /// advice.
    public var description: String {
        var line = operation.text
        var details: [String] = []
        if let errno { details.append(describe(errno)) }
        if let message { details.append(message) }
        if let attribute { details.append("attribute \(attribute)") }
        if !details.isEmpty { line += ": " + details.joined(separator: ", ") }
        if let advice = advice?.text() { line += " (\(advice))" }
        return printable(line)
    }
}

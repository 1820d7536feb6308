public import SystemPackage

/// The one error that the core throws: what failed, in whose words, and what to do about it.
///
/// `description` is a single line fit for a terminal or a log.
public struct DevmemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where the failure comes from.
    public enum Kind: String, Equatable, Sendable {
        /// A system call failed; `errno` says how.
        case system
        /// The kernel answered a netlink request with an error.
        case netlink
        /// Bytes from the kernel or the network are not what their format allows.
        case malformed
        /// The kernel, the NIC or the driver cannot do what is asked.
        case unsupported
        /// What was asked for makes no sense on this host.
        case invalid
        /// The payload is not what it should be.
        case corrupt
    }

    /// Where the failure comes from.
    public var kind: Kind
    /// What was being done, such as `bind-rx on eth1` or `open /dev/udmabuf`.
    public var operation: Operation
    /// The kernel's error number, if the kernel said no.
    public var errno: Errno?
    /// The kernel's own text (extack) or the detail of what is wrong.
    public var message: String?
    /// The netlink attribute that the kernel objects to, such as `queues.id`.
    public var attribute: String?
    /// What the user can do about it.
    public var advice: Advice?
    /// The signal that broke it off, if one did.
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

    /// Makes an error of an operation that nobody tells apart from others.
    public init(
        _ kind: Kind, call text: String, errno: Errno? = nil, message: String? = nil,
        attribute: String? = nil, advice: Advice? = nil
    ) {
        self.init(
            kind, Operation(.other, text), errno: errno, message: message, attribute: attribute,
            advice: advice)
    }

    /// The same error with advice, unless it carries some already.
    package func advising(_ more: Advice) -> DevmemError {
        var copy = self
        copy.advice = advice ?? more
        return copy
    }

    /// One line: what failed, the kernel's words, the attribute at fault, and what to do.
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

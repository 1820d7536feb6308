import FoundationEssentials

/// The host that a report is of, so that reports of many hosts can be told apart.
package struct HostIdentity: Equatable, Sendable {
    /// Its name, as uname(2) reports it.
    package var name: String
    /// The release of the kernel that it runs, likewise.
    package var kernel: String

    /// Creates an identity from its values.
    package init(name: String, kernel: String) {
        self.name = name
        self.kernel = kernel
    }

    /// The host that this process runs on. Control characters are escaped: the name may be any bytes.
    package static var current: HostIdentity {
        func first(of path: String) -> String {
            lines(of: path).first.map { printable(String($0)) } ?? "unknown"
        }
        return HostIdentity(
            name: first(of: "/proc/sys/kernel/hostname"),
            kernel: first(of: "/proc/sys/kernel/osrelease"))
    }
}

/// Returns the present time in UTC as ISO 8601 writes it, with milliseconds.
package func timeStamp() -> String {
    Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
}

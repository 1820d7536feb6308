import DevmemCore
/// The place to start the remote side in.
package enum RemotePlace: Equatable, Sendable, CustomStringConvertible {
    /// A network namespace of this host, as named for ip-netns(8).
    case namespace(String)
    /// Another host, as ssh(1) takes it, optionally preceded by `USER@`. An IPv6 address has no
    /// brackets.
    case host(String)

    /// Parses `netns:NAME` or `ssh:HOST`; nil for anything else.
    package init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        self.init(kind: String(text[..<colon]), name: String(text[text.index(after: colon)...]))
    }

    /// Creates a place from the settings of the kernel's test harness: `netns` or `ssh`, and a
    /// name. Returns nil for any other kind and for invalid names.
    package init?(kind: String, name: String) {
        // A leading dash would make it an option; a slash would lead to another path.
        guard !name.isEmpty, !name.hasPrefix("-"),
            name.allSatisfy({ $0.isASCII && !$0.isWhitespace && $0 >= " " && $0 != "\u{7f}" })
        else { return nil }
        switch kind {
        case "netns":
            guard !name.contains("/"), name != ".", name != ".." else { return nil }
            self = .namespace(name)
        case "ssh":
            guard let host = Self.host(name) else { return nil }
            self = .host(host)
        default: return nil
        }
    }

    /// Converts a host to the form of ssh(1), which takes IPv6 addresses without brackets.
    private static func host(_ name: String) -> String? {
        guard !name.contains("/"), !name.contains("'") else { return nil }
        let (user, host) = split(name)
        guard host.hasPrefix("[") || host.hasSuffix("]") else {
            return host.isEmpty || host.hasPrefix("-") ? nil : name
        }
        let inside = host.dropFirst().dropLast()
        guard host.hasPrefix("["), host.hasSuffix("]"), inside.contains(":") else { return nil }
        return "\(user)\(inside)"
    }

    /// Splits off `USER@`, if present.
    private static func split(_ name: String) -> (user: Substring, host: Substring) {
        guard let sign = name.lastIndex(of: "@") else { return ("", name[...]) }
        return (name[...sign], name[name.index(after: sign)...])
    }

    /// Returns a remote path in the form of scp(1), which needs brackets around an IPv6 address.
    static func remoteFile(_ path: String, at host: String) -> String {
        let (user, name) = split(host)
        return name.contains(":") ? "\(user)[\(name)]:\(path)" : "\(host):\(path)"
    }

    /// `netns:NAME` or `ssh:HOST`.
    package var description: String {
        switch self {
        case .namespace(let name): "netns:\(name)"
        case .host(let name): "ssh:\(name)"
        }
    }
}

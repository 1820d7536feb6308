package import DevmemCore
import Glibc
import SystemPackage

/// The settings of the kernel's test harness: a NIC and its remote side, from the environment or a
/// file `net.config` (tools/testing/selftests/drivers/net/README.rst).
package struct HarnessSettings: Equatable, Sendable {
    /// `NETIF`: the NIC.
    package var interface: String?
    /// `LOCAL_V4`: the NIC's IPv4 address.
    package var local4: IPAddress?
    /// `LOCAL_V6`: the NIC's IPv6 address.
    package var local6: IPAddress?
    /// `REMOTE_V4`: the IPv4 address of the remote side.
    package var remote4: IPAddress?
    /// `REMOTE_V6`: the IPv6 address of the remote side.
    package var remote6: IPAddress?
    /// `REMOTE_TYPE` and `REMOTE_ARGS`: how to start the remote side.
    package var place: RemotePlace?

    /// Reads the settings. The file takes precedence over the environment.
    ///
    /// - Parameters:
    ///   - environment: the environment variables.
    ///   - file: the content of `net.config`: lines `NAME=VALUE`; `#` starts a comment.
    /// - Throws: `DevmemError` of kind `invalid` that names the line or the variable at fault.
    package init(environment: [String: String], file: String? = nil) throws(DevmemError) {
        var values = environment
        for (number, line) in (file ?? "").split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        ).enumerated() {
            let text = Self.trimmed(line.prefix { $0 != "#" })
            guard !text.isEmpty else { continue }
            guard let sign = text.firstIndex(of: "="), sign > text.startIndex else {
                throw DevmemError(
                    .invalid, call: "read net.config",
                    message: "line \(number + 1) is not NAME=VALUE")
            }
            values[Self.trimmed(text[..<sign])] = Self.trimmed(text[text.index(after: sign)...])
        }
        interface = try Self.interface(values["NETIF"])
        local4 = try Self.address("LOCAL_V4", values, isIPv6: false)
        local6 = try Self.address("LOCAL_V6", values, isIPv6: true)
        remote4 = try Self.address("REMOTE_V4", values, isIPv6: false)
        remote6 = try Self.address("REMOTE_V6", values, isIPv6: true)
        place = try Self.place(values["REMOTE_TYPE"], values["REMOTE_ARGS"])
    }

    private static func trimmed(_ text: Substring) -> String {
        let start = text.drop(while: \.isWhitespace)
        let end = start.lastIndex { !$0.isWhitespace }
        return end.map { String(start[...$0]) } ?? ""
    }

    private static func interface(_ value: String?) throws(DevmemError) -> String? {
        guard let value, !value.isEmpty else { return nil }
        // The kernel's rule (dev_valid_name of net/core/dev.c).
        guard value.utf8.count < 16, value != ".", value != "..",
            value.allSatisfy({ !$0.isWhitespace && $0 != "/" && $0 != ":" })
        else { throw refusal("NETIF", value, "is not the name of an interface") }
        return value
    }

    private static func address(
        _ name: String, _ values: [String: String], isIPv6: Bool
    ) throws(DevmemError) -> IPAddress? {
        guard let value = values[name], !value.isEmpty else { return nil }
        guard let address = IPAddress(text: value), address.isIPv6 == isIPv6 else {
            throw refusal(name, value, "is not an IPv\(isIPv6 ? 6 : 4) address")
        }
        return address
    }

    private static func place(
        _ kind: String?, _ name: String?
    ) throws(DevmemError) -> RemotePlace? {
        guard let kind, !kind.isEmpty else { return nil }
        guard kind == "netns" || kind == "ssh" else {
            throw refusal("REMOTE_TYPE", kind, "is neither netns nor ssh")
        }
        guard let place = RemotePlace(kind: kind, name: name ?? "") else {
            throw refusal("REMOTE_ARGS", name ?? "", "does not name a place for the peer")
        }
        return place
    }

    private static func refusal(_ name: String, _ value: String, _ why: String) -> DevmemError {
        DevmemError(
            .invalid, call: "read the test settings", message: "\(name) \"\(value)\" \(why)")
    }
}

extension HarnessSettings {
    /// Reads the environment and a file `net.config`.
    ///
    /// - Parameters:
    ///   - environment: the environment variables.
    ///   - path: the file.
    ///   - isOptional: whether the path is the default rather than the user's choice. Such a file
    ///     may be missing. It must be a regular file of this user or root, because it can make
    ///     root's ssh connect anywhere.
    /// - Throws: `DevmemError` of kind `system` if the file cannot be read, `invalid` if it is
    ///   malformed or another user may have written it.
    package init(
        environment: [String: String], path: String, isOptional: Bool
    ) throws(DevmemError) {
        let text: String?
        do throws(DevmemError) {
            text = try isOptional ? Self.ownFile(path) : readTextFile(path)
        } catch {
            guard isOptional, error.errno == .noSuchFileOrDirectory else { throw error }
            text = nil
        }
        try self.init(environment: environment, file: text)
    }

    /// Reads a regular file that only root or this user can have written; symbolic links are
    /// refused.
    private static func ownFile(_ path: String) throws(DevmemError) -> String {
        let descriptor = try openNoLink(path)
        var status = stat()
        try retrying("look at \(path)") { fstat(descriptor.rawValue, &status) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw refused(path, "it is not a regular file")
        }
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw refused(path, "it belongs to user \(status.st_uid)")
        }
        guard status.st_mode & 0o022 == 0 else { throw refused(path, "others may write to it") }
        let bytes = try contents(of: descriptor, call: "read \(path)")
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func openNoLink(_ path: String) throws(DevmemError) -> Descriptor {
        do throws(DevmemError) {
            // O_NONBLOCK: another user's FIFO must not block the open.
            return try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        } catch {
            guard error.errno == .tooManySymbolicLinkLevels else { throw error }
            throw refused(path, "it is a symbolic link")
        }
    }

    private static func refused(_ path: String, _ why: String) -> DevmemError {
        DevmemError(
            .invalid, call: "read \(path)", message: why,
            advice: "if you trust it, give \(.settings) \(path); to read no file, \(.settings) "
                + "/dev/null")
    }
}

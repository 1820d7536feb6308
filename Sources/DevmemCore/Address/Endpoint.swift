import CDevmem
import Glibc

/// A TCP endpoint: address, port and, for link-local IPv6, the interface.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The address.
    public var address: IPAddress
    /// The port, in host order.
    public var port: UInt16
    /// The interface index of a link-local IPv6 address; otherwise 0.
    public var scope: UInt32

    /// Creates an endpoint from its parts.
    public init(address: IPAddress, port: UInt16, scope: UInt32 = 0) {
        self.address = address
        self.port = port
        self.scope = scope
    }

    /// `192.0.2.1:5201` or `[2001:db8::1]:5201`, with `%IFACE` for a scope.
    public var description: String {
        guard address.isIPv6 else { return "\(address):\(port)" }
        return "[\(address)\(scope == 0 ? "" : "%" + interfaceName(scope))]:\(port)"
    }

    /// Resolves an endpoint to the first address that the resolver returns.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if the host or port is unknown.
    public init(resolving text: EndpointText) throws(DevmemError) {
        self = try Self.candidates(resolving: text)[0]
    }

    /// Resolves an endpoint to all addresses that the resolver returns, the best first.
    ///
    /// - Parameter text: host and port.
    /// - Returns: at least one endpoint.
    /// - Throws: `DevmemError` of kind `invalid` if the host or port is unknown.
    package static func candidates(resolving text: EndpointText) throws(DevmemError) -> [Endpoint] {
        // A port without a host means all addresses of both families.
        try lookUpAll(text.host.isEmpty ? "::" : text.host, port: text.port, text.description)
    }

    /// Resolves a host to all its addresses.
    ///
    /// - Parameter host: a name or an address.
    /// - Returns: at least one address.
    /// - Throws: `DevmemError` of kind `invalid` if the host is unknown.
    package static func addresses(of host: String) throws(DevmemError) -> [IPAddress] {
        try lookUpAll(host, port: "", host).map(\.address)
    }

    /// Returns the port for a number or the name of a TCP service; nil if there is none.
    package static func port(named text: String) -> UInt16? {
        guard !isNumberOfNoPort(text), !text.isEmpty,
            let list = try? lookUpAll(nil, port: text, text)
        else { return nil }
        return list.first?.port
    }

    /// Whether a text is a number, but not of a port. The C library reads it as strtoul(3) does, and
    /// truncates it to some other port. Pure.
    static func isNumberOfNoPort(_ text: String) -> Bool {
        let number = text.drop { $0.isWhitespace }
        let digits = number.drop { $0 == "+" || $0 == "-" }
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else {
            return false
        }
        return UInt16(number) == nil
    }

    private static func lookUpAll(
        _ host: String?, port: String, _ text: String
    ) throws(DevmemError) -> [Endpoint] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = cdm_SOCK_STREAM
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, port.isEmpty ? nil : port, &hints, &list)
        guard code == 0 else {
            throw DevmemError(
                .invalid, call: "look up \(text)", message: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(list) }
        var endpoints: [Endpoint] = []
        var entry = list
        while let current = entry {
            if let address = current.pointee.ai_addr, let endpoint = Endpoint(address) {
                endpoints.append(endpoint)
            }
            entry = current.pointee.ai_next
        }
        guard !endpoints.isEmpty else {
            throw DevmemError(
                .invalid, call: "look up \(text)", message: "neither IPv4 nor IPv6")
        }
        return endpoints
    }

    /// Copies an endpoint from a socket address; nil if it is neither IPv4 nor IPv6.
    init?(_ address: UnsafePointer<sockaddr>) {
        guard let host = IPAddress(address) else { return nil }
        let raw = UnsafeRawPointer(address)
        if host.isIPv6 {
            let inet6 = raw.loadUnaligned(as: sockaddr_in6.self)
            self.init(
                address: host, port: UInt16(bigEndian: inet6.sin6_port),
                scope: inet6.sin6_scope_id)
        } else {
            let inet = raw.loadUnaligned(as: sockaddr_in.self)
            self.init(address: host, port: UInt16(bigEndian: inet.sin_port))
        }
    }

    /// Lends the endpoint as a socket address.
    func withSocketAddress<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var storage = sockaddr_storage()
        let length = withUnsafeMutableBytes(of: &storage) { raw -> Int in
            if address.isIPv6 {
                var inet6 = sockaddr_in6()
                inet6.sin6_family = sa_family_t(AF_INET6)
                inet6.sin6_port = port.bigEndian
                inet6.sin6_scope_id = scope
                withUnsafeMutableBytes(of: &inet6.sin6_addr) { $0.copyBytes(from: address.bytes) }
                raw.storeBytes(of: inet6, as: sockaddr_in6.self)
                return MemoryLayout<sockaddr_in6>.size
            }
            var inet = sockaddr_in()
            inet.sin_family = sa_family_t(AF_INET)
            inet.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &inet.sin_addr) { $0.copyBytes(from: address.bytes) }
            raw.storeBytes(of: inet, as: sockaddr_in.self)
            return MemoryLayout<sockaddr_in>.size
        }
        return withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }
}

/// An unresolved endpoint as a user writes it: `HOST:PORT`, `[IPV6]:PORT` or `:PORT`, with numbers
/// or names.
public struct EndpointText: Equatable, Sendable, CustomStringConvertible {
    /// The host; empty for all local addresses.
    public var host: String
    /// The port: a number or a service name.
    public var port: String

    /// The endpoint in the form that a user writes.
    public var description: String {
        // A star without brackets would mean all addresses.
        host.contains(":") || host == "*" ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Parses an endpoint.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if it does not have that form.
    public init(_ text: String) throws(DevmemError) {
        let colon = text.lastIndex(of: ":")
        guard let colon, colon < text.index(before: text.endIndex) else {
            throw Self.error(text, "no port")
        }
        port = String(text[text.index(after: colon)...])
        let before = text[..<colon]
        if before.hasPrefix("[") {
            guard before.hasSuffix("]"), before.count > 2 else {
                throw Self.error(text, "a ] is missing")
            }
            host = String(before.dropFirst().dropLast())
        } else {
            guard !before.contains(":") else {
                throw Self.error(text, "an IPv6 address must be in brackets: [ADDRESS]:PORT")
            }
            host = before == "*" ? "" : String(before)
        }
        guard !port.contains("]") else { throw Self.error(text, "no port") }
        guard !host.contains(where: { $0 == "[" || $0 == "]" }) else {
            throw Self.error(text, "a host has no brackets in it")
        }
        if Endpoint.isNumberOfNoPort(port) { throw Self.error(text, "no such port") }
    }

    private static func error(_ text: String, _ why: String) -> DevmemError {
        DevmemError(
            .invalid, call: "read the address \"\(text)\"", message: why,
            advice: "write HOST:PORT, [IPV6]:PORT or :PORT")
    }
}

func interfaceName(_ index: UInt32) -> String {
    var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
    guard if_indextoname(index, &name) != nil else { return "\(index)" }
    return stringFromCBuffer(name)
}

import Glibc
import SystemPackage

/// A network interface of this network namespace.
public struct NetworkInterface: Equatable, Sendable {
    /// Its name, such as `eth1`.
    public let name: String
    /// Its interface index.
    public let index: UInt32

    /// Finds an interface by name.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if there is none.
    public init(named name: String) throws(DevmemError) {
        let index = if_nametoindex(name)
        guard index != 0 else {
            throw DevmemError(
                .invalid, call: "find interface \(name)", errno: Errno(rawValue: errno),
                advice: "ip -brief link lists the interfaces")
        }
        self.name = name
        self.index = index
    }

    /// Finds the interface that holds a local address.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if none does; `system` if getifaddrs(3) fails.
    public init(holding address: IPAddress) throws(DevmemError) {
        guard let holder = try Self.allAddresses().first(where: { $0.address == address }) else {
            throw DevmemError(
                .invalid, call: "find the interface with address \(address)",
                errno: .addressNotAvailable,
                advice: "ip -brief address shows this host's addresses")
        }
        try self.init(named: holder.interface)
    }
}

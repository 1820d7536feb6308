import Glibc

extension NetworkInterface {
    /// The interface's IPv4 and IPv6 addresses, in the kernel's order.
    ///
    /// - Throws: `DevmemError` of kind `system` if getifaddrs(3) fails.
    package var addresses: [IPAddress] {
        get throws(DevmemError) {
            try Self.allAddresses().filter { $0.interface == name }.map(\.address)
        }
    }

    /// Lists the host's addresses with the names of their interfaces, in the kernel's order.
    static func allAddresses() throws(DevmemError) -> [(interface: String, address: IPAddress)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        try retrying("list the host's addresses") { getifaddrs(&list) }
        defer { freeifaddrs(list) }
        var addresses: [(interface: String, address: IPAddress)] = []
        var entry = list
        while let current = entry?.pointee {
            if let socketAddress = current.ifa_addr, let address = IPAddress(socketAddress) {
                addresses.append((name(ofLabel: String(cString: current.ifa_name)), address))
            }
            entry = current.ifa_next
        }
        return addresses
    }

    /// Returns the interface name in an address label. getifaddrs(3) returns labels such as
    /// `eth1:0` for IPv4 addresses; interface names contain no colon (`dev_valid_name` of
    /// net/core/dev.c).
    static func name(ofLabel label: String) -> String {
        String(label.prefix { $0 != ":" })
    }
}

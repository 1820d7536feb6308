import Glibc

extension NetworkInterface {
    /// The interface's IPv4 and IPv6 addresses, in the kernel's order.
    ///
    /// - Throws: `DevmemError` of kind `system` if getifaddrs(3) fails.
    package var addresses: [IPAddress] {
        get throws(DevmemError) {
            var list: UnsafeMutablePointer<ifaddrs>?
            try retrying("list the host's addresses") { getifaddrs(&list) }
            defer { freeifaddrs(list) }
            var addresses: [IPAddress] = []
            var entry = list
            while let current = entry?.pointee {
                if Self.name(ofLabel: String(cString: current.ifa_name)) == name,
                    let socketAddress = current.ifa_addr,
                    let address = IPAddress(socketAddress)
                {
                    addresses.append(address)
                }
                entry = current.ifa_next
            }
            return addresses
        }
    }

    /// Returns the interface name in an address label. getifaddrs(3) returns labels such as
    /// `eth1:0` for IPv4 addresses; interface names contain no colon (`dev_valid_name` of
    /// net/core/dev.c).
    static func name(ofLabel label: String) -> String {
        String(label.prefix { $0 != ":" })
    }
}

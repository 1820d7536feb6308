import Glibc

extension NetworkInterface {
    /// Its IPv4 and IPv6 addresses, in the kernel's order.
    ///
    /// - Throws: `DevmemError` of kind `system` as getifaddrs(3) fails.
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

    /// The interface that an address is of. getifaddrs(3) names an IPv4 address by its label, such as
    /// `eth1:0`; no interface has a colon in its name (`dev_valid_name` of net/core/dev.c).
    static func name(ofLabel label: String) -> String {
        String(label.prefix { $0 != ":" })
    }
}

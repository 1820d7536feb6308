import CDevmem
import Glibc
import SystemPackage

/// Reads and changes one NIC's settings through the SIOCETHTOOL ioctl, where netlink has no
/// equivalent.
package struct EthtoolIoctl: ~Copyable {
    let interface: NetworkInterface
    private let socket: Descriptor

    package init(_ interface: NetworkInterface) throws(DevmemError) {
        let number = try retrying("open a socket for ethtool") {
            Glibc.socket(AF_INET, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0)
        }
        socket = Descriptor(owning: number)
        self.interface = interface
    }

    /// The commands that change nothing (linux/ethtool.h).
    private static let reading: Set<UInt32> = [
        UInt32(ETHTOOL_GDRVINFO), UInt32(ETHTOOL_GRXCLSRLCNT), UInt32(ETHTOOL_GRXCLSRULE),
        UInt32(ETHTOOL_GRXCLSRLALL),
    ]

    /// Runs one command. `bytes` holds its structure, which begins with the command word, and is
    /// overwritten with the answer.
    ///
    /// The kernel identifies the NIC by name, but a NIC may be renamed and its name given to
    /// another. So commands that change settings, and reads of a name that is gone, look the name
    /// up by index first.
    func run(_ bytes: inout [UInt8], operation: DevmemError.Operation) throws(DevmemError) {
        var code = ENODEV
        if Self.reading.contains(bytes.word(at: 0)) { code = ask(interface.name, &bytes) }
        if code == ENODEV {
            var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
            if if_indextoname(interface.index, &name) != nil {
                code = ask(stringFromCBuffer(name), &bytes)
            }
        }
        guard code != 0 else { return }
        let error = DevmemError(
            .system, operation.on(interface.name), errno: Errno(rawValue: code))
        // Some drivers return EPERM even to a privileged process.
        let isDenied = error.errno == .notPermitted && (try? hasNetAdmin()) != true
        throw isDenied ? error.advising(needsNetAdmin) : error
    }

    /// Runs a command on the interface with a name; returns the errno, or 0 on success.
    private func ask(_ name: String, _ bytes: inout [UInt8]) -> Int32 {
        var request = ifreq()
        withUnsafeMutableBytes(of: &request) { raw in
            // The last byte stays 0 and terminates the name.
            raw.copyBytes(from: name.utf8.prefix(Int(IFNAMSIZ) - 1))
        }
        return bytes.withUnsafeMutableBytes { buffer -> Int32 in
            request.ifr_ifru.ifru_data = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            while true {
                if cdm_ioctl(socket.rawValue, cdm_SIOCETHTOOL, &request) != -1 { return 0 }
                if errno != EINTR { return errno }
            }
        }
    }
}

extension [UInt8] {
    func word(at offset: Int) -> UInt32 {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
    }

    package mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
    }
}

import CDevmem
import Glibc
import SystemPackage

/// Asks and changes one NIC's settings over the SIOCETHTOOL ioctl, for what has no netlink form.
struct EthtoolIoctl: ~Copyable {
    let interface: NetworkInterface
    private let socket: Descriptor

    init(_ interface: NetworkInterface) throws(DevmemError) {
        let number = try retrying("open a socket for ethtool") {
            Glibc.socket(AF_INET, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0)
        }
        socket = Descriptor(owning: number)
        self.interface = interface
    }

    /// Runs one command whose structure, command word first, lies in `bytes` and is written over.
    func run(_ bytes: inout [UInt8], call: String) throws(DevmemError) {
        var request = ifreq()
        // The kernel asks for a name, but a NIC may be renamed, and its name go to another.
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        guard if_indextoname(interface.index, &name) != nil else {
            throw DevmemError(
                .system, call: "\(call) \(interface.name)", errno: .operationNotSupportedByDevice)
        }
        withUnsafeMutableBytes(of: &request) { raw in
            // The last byte stays zero, as the kernel's name field ends.
            name.withUnsafeBytes { raw.copyBytes(from: $0.prefix(Int(IFNAMSIZ) - 1)) }
        }
        let code = bytes.withUnsafeMutableBytes { buffer -> Int32 in
            request.ifr_ifru.ifru_data = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            while true {
                if cdm_ioctl(socket.rawValue, cdm_SIOCETHTOOL, &request) != -1 { return 0 }
                if errno != EINTR { return errno }
            }
        }
        guard code != 0 else { return }
        let error = DevmemError(
            .system, call: "\(call) \(interface.name)", errno: Errno(rawValue: code))
        // Some drivers too answer so, though the process may do it.
        let isDenied = error.errno == .notPermitted && (try? hasNetAdmin()) != true
        throw isDenied ? error.advising(needsNetAdmin) : error
    }
}

extension [UInt8] {
    func word(at offset: Int) -> UInt32 {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
    }

    mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
    }
}

import CDevmem

/// A rule that steers TCP packets to a receive queue. Fields that are nil match anything.
public struct FlowRule: Equatable, Sendable, CustomStringConvertible {
    /// Source address, 4 or 16 bytes in network order.
    public var source: [UInt8]?
    /// Destination address, 4 or 16 bytes in network order.
    public var destination: [UInt8]?
    /// Source port.
    public var sourcePort: UInt16?
    /// Destination port.
    public var destinationPort: UInt16?
    /// Whether it matches IPv6 packets rather than IPv4.
    public var isIPv6: Bool
    /// The receive queue that matching packets go to.
    public var queue: UInt32

    /// Makes a rule from its fields.
    public init(
        isIPv6: Bool, source: [UInt8]? = nil, destination: [UInt8]? = nil,
        sourcePort: UInt16? = nil, destinationPort: UInt16? = nil, queue: UInt32
    ) {
        self.isIPv6 = isIPv6
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.queue = queue
    }

    /// The rule in the words of ethtool(8): `flow-type tcp4 dst-port 5201 action 7`.
    public var description: String {
        var words = ["flow-type", isIPv6 ? "tcp6" : "tcp4"]
        for (name, address) in [("src-ip", source), ("dst-ip", destination)] {
            if let address { words += [name, IPAddress(bytes: address)?.description ?? "?"] }
        }
        for (name, port) in [("src-port", sourcePort), ("dst-port", destinationPort)] {
            if let port { words += [name, "\(port)"] }
        }
        return (words + ["action", "\(queue)"]).joined(separator: " ")
    }
}

/// The offsets in `struct ethtool_rx_flow_spec` of linux/ethtool.h on 64-bit machines.
enum FlowSpec {
    static let size = MemoryLayout<ethtool_rx_flow_spec>.size
    static let type = 0
    static let value = 4
    static let mask = 76
    static let ringCookie = 152
    static let location = 160

    static let tcp4: UInt32 = 1
    static let tcp6: UInt32 = 5

    /// The kernel's form of a rule, to be put at `location`. Ports and addresses are big-endian;
    /// a mask of ones means that the field must match.
    static func encode(_ rule: FlowRule, location place: UInt32) throws(DevmemError) -> [UInt8] {
        let addressLength = rule.isIPv6 ? 16 : 4
        var bytes = [UInt8](repeating: 0, count: size)
        bytes.store(rule.isIPv6 ? tcp6 : tcp4, at: type)
        for (address, offset) in [(rule.source, 0), (rule.destination, addressLength)] {
            guard let address else { continue }
            guard address.count == addressLength else {
                throw DevmemError(
                    .invalid, call: "build a flow rule",
                    message: "an address of \(address.count) bytes")
            }
            bytes.replaceSubrange(value + offset..<value + offset + addressLength, with: address)
            bytes.replaceSubrange(
                mask + offset..<mask + offset + addressLength,
                with: repeatElement(0xff, count: addressLength))
        }
        let ports = 2 * addressLength
        for (port, offset) in [(rule.sourcePort, ports), (rule.destinationPort, ports + 2)] {
            guard let port else { continue }
            bytes.store(port.bigEndian, at: value + offset)
            bytes.store(UInt16.max, at: mask + offset)
        }
        bytes.store(UInt64(rule.queue), at: ringCookie)
        bytes.store(place, at: location)
        return bytes
    }
}

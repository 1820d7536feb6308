import CDevmem

/// The packets that a flow rule matches, in one layout for rules of all types: the values of packet
/// fields, and a mask of the bits that are compared.
struct FlowMatch: Equatable {
    /// The byte ranges of the fields.
    enum Field {
        static let destinationHardware = 0..<6
        static let sourceHardware = 6..<12
        static let etherType = 12..<14
        static let vlanType = 14..<16
        static let vlanTag = 16..<18
        static let protocolNumber = 18..<19
        static let trafficClass = 19..<20
        static let source = 20..<36
        static let destination = 36..<52
        static let sourcePort = 52..<54
        static let destinationPort = 54..<56
        static let size = 56
    }

    /// The bits to compare with; zero where the mask is zero.
    private(set) var value = [UInt8](repeating: 0, count: Field.size)
    private(set) var mask = [UInt8](repeating: 0, count: Field.size)
    /// Whether the match is represented completely. If not, the rule may match fewer packets.
    private(set) var isExact = true

    /// Parses a `struct ethtool_rx_flow_spec` of `FlowSpec.size` bytes with any content.
    ///
    /// Unknown conditions are left out, so the result matches too many packets rather than too few.
    init(specification: [UInt8]) {
        guard specification.count == FlowSpec.size else {
            isExact = false
            return
        }
        let word = specification.word(at: FlowSpec.type)
        switch FlowType(word) {
        case .transport(_, let isIPv6, let number, let ports):
            let fields = parseAddresses(specification, isIPv6)
            require([UInt8(truncatingIfNeeded: number)], in: Field.protocolNumber)
            if ports {
                take(specification, fields.sourcePort, into: Field.sourcePort)
                take(specification, fields.destinationPort, into: Field.destinationPort)
            } else if masked(specification, fields.sourcePort..<fields.destinationPort + 2) {
                // The security parameter index of IPsec; TCP has none.
                isExact = false
            }
            take(specification, fields.trafficClass, into: Field.trafficClass)
        case .address(let isIPv6):
            let fields = parseAddresses(specification, isIPv6)
            // The first four bytes of the transport header: the ports of TCP.
            take(specification, fields.sourcePort, into: Field.sourcePort)
            take(specification, fields.destinationPort, into: Field.destinationPort)
            take(specification, fields.trafficClass, into: Field.trafficClass)
            take(specification, fields.protocolNumber, into: Field.protocolNumber)
        case .ethernet:
            take(specification, cdm_ethhdr_h_dest, into: Field.destinationHardware)
            take(specification, cdm_ethhdr_h_source, into: Field.sourceHardware)
            parseEtherType(specification)
        case .other:
            isExact = false
            return
        }
        parseExtension(specification, flags: word)
    }

    /// Returns whether some packet can match both.
    func overlaps(_ other: FlowMatch) -> Bool {
        for index in 0..<Field.size {
            let common = mask[index] & other.mask[index]
            if (value[index] ^ other.value[index]) & common != 0 { return false }
        }
        return true
    }

    /// Returns whether every packet that the other matches is certain to match.
    func contains(_ other: FlowMatch) -> Bool {
        guard isExact else { return false }
        for index in 0..<Field.size {
            let own = mask[index]
            guard own & ~other.mask[index] == 0,
                (value[index] ^ other.value[index]) & own == 0
            else { return false }
        }
        return true
    }

    /// Returns whether any bit of a field is compared.
    func compares(_ field: Range<Int>) -> Bool { mask[field].contains { $0 != 0 } }

    private mutating func parseAddresses(_ bytes: [UInt8], _ isIPv6: Bool) -> FlowSpec.Fields {
        let fields = FlowSpec.Fields(isIPv6: isIPv6)
        require(bigEndian(isIPv6 ? cdm_ETH_P_IPV6 : cdm_ETH_P_IP), in: Field.etherType)
        take(bytes, fields.source, into: Field.source.prefix(fields.addressLength))
        take(bytes, fields.destination, into: Field.destination.prefix(fields.addressLength))
        return fields
    }

    /// A VLAN tag's EtherType is not that of the payload after it.
    private mutating func parseEtherType(_ bytes: [UInt8]) {
        let start = FlowSpec.value + cdm_ethhdr_h_proto
        let isTag = [cdm_ETH_P_8021Q, cdm_ETH_P_8021AD].map(bigEndian)
            .contains(Array(bytes[start..<start + 2]))
        take(bytes, cdm_ethhdr_h_proto, into: isTag ? Field.vlanType : Field.etherType)
    }

    private mutating func parseExtension(_ bytes: [UInt8], flags: UInt32) {
        if flags & FlowSpec.extensionFlag != 0 {
            take(bytes, FlowSpec.Extension.vlanType, into: Field.vlanType)
            take(bytes, FlowSpec.Extension.vlanTag, into: Field.vlanTag)
            // Its meaning is up to the driver.
            if masked(bytes, FlowSpec.Extension.data..<FlowSpec.matchLength) { isExact = false }
        }
        if flags & FlowSpec.hardwareAddressFlag != 0 {
            if compares(Field.destinationHardware) {
                isExact = false
            } else {
                take(bytes, FlowSpec.Extension.destination, into: Field.destinationHardware)
            }
        }
    }

    private func masked(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
        range.contains { bytes[FlowSpec.mask + $0] != 0 }
    }

    private func bigEndian(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 0xff)]
    }

    private mutating func require(_ bytes: [UInt8], in field: Range<Int>) {
        for (index, byte) in zip(field, bytes) {
            value[index] = byte
            mask[index] = 0xff
        }
    }

    private mutating func take(_ bytes: [UInt8], _ offset: Int, into field: Range<Int>) {
        for (step, index) in field.enumerated() {
            mask[index] = bytes[FlowSpec.mask + offset + step]
            value[index] = bytes[FlowSpec.value + offset + step] & mask[index]
        }
    }
}

extension FlowRule {
    /// The packets that it matches; nil if the kernel's structure cannot express the rule.
    var flowMatch: FlowMatch? {
        (try? FlowSpec.encode(aimed(at: .queue(0)), location: 0)).map {
            FlowMatch(specification: $0)
        }
    }
}

extension InstalledRule {
    /// The packets that it matches.
    var flowMatch: FlowMatch { FlowMatch(specification: specification) }
}

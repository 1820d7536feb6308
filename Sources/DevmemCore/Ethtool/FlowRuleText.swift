import CDevmem

/// Formats an installed rule of any type in ethtool(8) syntax.
struct FlowRuleText {
    private let bytes: [UInt8]
    private let context: UInt32?
    private var words: [String]

    init(_ rule: InstalledRule) {
        bytes = rule.specification
        context = rule.context
        let word = bytes.word(at: FlowSpec.type)
        let type = FlowType(word)
        words = ["flow-type", type.name]
        switch type {
        case .transport(_, let isIPv6, _, let ports):
            let fields = addAddresses(isIPv6)
            if ports {
                addNumber("src-port", fields.sourcePort, 2)
                addNumber("dst-port", fields.destinationPort, 2)
            } else {
                addNumber("spi", fields.sourcePort, 4)
            }
            addNumber(isIPv6 ? "tclass" : "tos", fields.trafficClass, 1)
        case .address(let isIPv6):
            let fields = addAddresses(isIPv6)
            addNumber("l4data", fields.sourcePort, 4)
            addNumber(isIPv6 ? "tclass" : "tos", fields.trafficClass, 1)
            addNumber("l4proto", fields.protocolNumber, 1)
        case .ethernet:
            addHardwareAddress("src", cdm_ethhdr_h_source)
            addHardwareAddress("dst", cdm_ethhdr_h_dest)
            addNumber("proto", cdm_ethhdr_h_proto, 2, isHexadecimal: true)
        case .other: break
        }
        if word & FlowSpec.extensionFlag != 0 {
            addNumber("vlan-etype", FlowSpec.Extension.vlanType, 2, isHexadecimal: true)
            addNumber("vlan", FlowSpec.Extension.vlanTag, 2)
            addNumber("user-def", FlowSpec.Extension.data, 8, isHexadecimal: true)
        }
        if word & FlowSpec.hardwareAddressFlag != 0 {
            addHardwareAddress("dst-mac", FlowSpec.Extension.destination)
        }
        words += action
    }

    /// The rule on one line.
    var text: String { words.joined(separator: " ") }

    private var action: [String] {
        let cookie = bytes.longWord(at: FlowSpec.ringCookie)
        if cookie == cdm_RX_CLS_FLOW_DISC { return ["action", "-1"] }
        if cookie == cdm_RX_CLS_FLOW_WAKE { return ["action", "-2"] }
        let queue = cookie & cdm_ETHTOOL_RX_FLOW_SPEC_RING
        // The upper half holds the virtual function of the queue, plus 1.
        let function =
            (cookie & cdm_ETHTOOL_RX_FLOW_SPEC_RING_VF) >> cdm_ETHTOOL_RX_FLOW_SPEC_RING_VF_OFF
        var words: [String] = []
        if function != 0 { words += ["vf", "\(function - 1)"] }
        if let context {
            // With a context, the queue is an offset added to the context's choice.
            if queue != 0 { words += ["action", "\(queue)"] }
            return words + ["context", "\(context)"]
        }
        return words + [function == 0 ? "action" : "queue", "\(queue)"]
    }

    private mutating func addAddresses(_ isIPv6: Bool) -> FlowSpec.Fields {
        let fields = FlowSpec.Fields(isIPv6: isIPv6)
        for (name, offset) in [("src-ip", fields.source), ("dst-ip", fields.destination)] {
            add(name, offset, fields.addressLength) { IPAddress(bytes: $0)?.description ?? "?" }
        }
        return fields
    }

    private mutating func addHardwareAddress(_ name: String, _ offset: Int) {
        add(name, offset, 6) { bytes in
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
        }
    }

    private mutating func addNumber(
        _ name: String, _ offset: Int, _ length: Int, isHexadecimal: Bool = false
    ) {
        add(name, offset, length) { bytes in
            let number = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return isHexadecimal ? "0x" + String(number, radix: 16) : "\(number)"
        }
    }

    /// Adds a field that the rule compares. ethtool(8) writes masks inverted.
    private mutating func add(
        _ name: String, _ offset: Int, _ length: Int, _ write: ([UInt8]) -> String
    ) {
        let mask = bytes[FlowSpec.mask + offset..<FlowSpec.mask + offset + length]
        guard mask.contains(where: { $0 != 0 }) else { return }
        let start = FlowSpec.value + offset
        words += [name, write(zip(bytes[start..<start + length], mask).map { $0 & $1 })]
        if mask.contains(where: { $0 != 0xff }) { words += ["m", write(mask.map { ~$0 })] }
    }
}

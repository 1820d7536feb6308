import Testing

@testable import DevmemCore

/// A packet with few possible values per field, so that all combinations can be tried.
private struct Packet {
    var isIPv6: Bool
    var protocolNumber: UInt8
    var source: UInt8
    var destinationPort: UInt8
    var hardware: UInt8

    static let protocols: [UInt8] = [6, 17]

    static var all: [Packet] {
        var packets: [Packet] = []
        for number in protocols {
            for isIPv6 in [false, true] {
                for source in 0..<4 as Range<UInt8> {
                    for port in 0..<4 as Range<UInt8> {
                        for hardware in 0..<2 as Range<UInt8> {
                            packets.append(
                                Packet(
                                    isIPv6: isIPv6, protocolNumber: number, source: source,
                                    destinationPort: port, hardware: hardware))
                        }
                    }
                }
            }
        }
        return packets
    }

    /// Returns whether a rule matches the packet, by the kernel's description of each type.
    func isTaken(by rule: [UInt8]) -> Bool {
        func field(_ packet: UInt8, _ offset: Int) -> Bool {
            (packet ^ rule[FlowSpec.value + offset]) & rule[FlowSpec.mask + offset] == 0
        }
        let length = isIPv6 ? 16 : 4
        let addressed = field(source, length - 1)
        let word = rule.word(at: FlowSpec.type)
        if word & FlowSpec.hardwareAddressFlag != 0,
            !field(hardware, FlowSpec.Extension.destination + 5)
        {
            return false
        }
        switch word & ~FlowType.flags {
        case 1: return !isIPv6 && protocolNumber == 6 && addressed && field(destinationPort, 11)
        case 2: return !isIPv6 && protocolNumber == 17 && addressed && field(destinationPort, 11)
        case 5: return isIPv6 && protocolNumber == 6 && addressed && field(destinationPort, 35)
        case 13:
            return !isIPv6 && addressed && field(destinationPort, 11) && field(protocolNumber, 14)
        case 14:
            return isIPv6 && addressed && field(destinationPort, 35) && field(protocolNumber, 37)
        case 18:
            let type: [UInt8] = isIPv6 ? [0x86, 0xdd] : [0x08, 0x00]
            return field(hardware, 5) && field(type[0], 12) && field(type[1], 13)
        default: return true
        }
    }
}

@Suite struct FlowMatchTests {
    private func randomRule(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: FlowSpec.size)
        func set(_ offset: Int, _ values: [UInt8], _ masks: [UInt8]) {
            bytes[FlowSpec.value + offset] = values.randomElement(using: &random) ?? 0
            bytes[FlowSpec.mask + offset] = masks.randomElement(using: &random) ?? 0
        }
        let type = [1, 2, 5, 13, 14, 18, 18].randomElement(using: &random) ?? 1
        bytes.store(UInt32(type), at: FlowSpec.type)
        let partial: [UInt8] = [0, 0, 1, 2, 3, 0xff]
        switch type {
        case 18:
            set(5, [0, 1], [0, 1, 0xff])
            if Bool.random(using: &random) {
                let isIPv6 = Bool.random(using: &random)
                let isWhole = Bool.random(using: &random)
                set(12, [isIPv6 ? 0x86 : 0x08], [isWhole ? 0xff : 0x80])
                set(13, [isIPv6 ? 0xdd : 0x00], [isWhole ? 0xff : 0])
            }
        case 5, 14:
            set(15, [0, 1, 2, 3], partial)
            set(35, [0, 1, 2, 3], partial)
            if type == 14 { set(37, Packet.protocols, [0, 1, 0xff]) }
        default:
            set(3, [0, 1, 2, 3], partial)
            set(11, [0, 1, 2, 3], partial)
            if type == 13 { set(14, Packet.protocols, [0, 1, 0xff]) }
        }
        if type != 18, UInt8.random(in: 0..<4, using: &random) == 0 {
            bytes.store(UInt32(type) | FlowSpec.hardwareAddressFlag, at: FlowSpec.type)
            set(FlowSpec.Extension.destination + 5, [0, 1], [0, 1, 0xff])
        }
        return bytes
    }

    /// Two rules overlap if and only if some packet matches both; one contains the other if it
    /// matches every packet that the other matches.
    @Test func overlapAgreesWithTryingEveryPacket() {
        var random = SeededGenerator(seed: 5)
        let packets = Packet.all
        var counts = [0, 0, 0]
        for _ in 0..<6_000 {
            let (left, right) = (randomRule(&random), randomRule(&random))
            let takenLeft = packets.map { $0.isTaken(by: left) }
            let takenRight = packets.map { $0.isTaken(by: right) }
            let both = zip(takenLeft, takenRight).contains { $0 && $1 }
            let (a, b) = (FlowMatch(specification: left), FlowMatch(specification: right))
            // A mask may require a value that none of the packets has.
            if takenLeft.contains(true) && takenRight.contains(true) {
                #expect(a.overlaps(b) == both, "\(left) \(right)")
            } else if both {
                #expect(a.overlaps(b))
            }
            #expect(a.overlaps(b) == b.overlaps(a))
            #expect(a.overlaps(a))
            if a.contains(b) {
                #expect(a.overlaps(b))
                #expect(zip(takenLeft, takenRight).allSatisfy { $0 || !$1 })
            }
            counts[both ? 0 : 1] += 1
            counts[2] += a.contains(b) ? 1 : 0
        }
        #expect(counts.allSatisfy { $0 > 200 })
    }

    /// Specifications with any content are parsed without a trap, and unknown types match
    /// everything.
    @Test func anyBytesAreRead() throws {
        var random = SeededGenerator(seed: 9)
        let flow = try #require(FlowRule(isIPv6: false, destinationPort: 80).flowMatch)
        for round in 0..<5_000 {
            var bytes = (0..<FlowSpec.size).map { _ in UInt8.random(in: 0...255, using: &random) }
            if round % 2 == 0 {
                bytes.store(
                    UInt32.random(in: 0..<32, using: &random) | UInt32(bytes[3]) << 24,
                    at: FlowSpec.type)
            }
            let rule = try #require(
                InstalledRule(specification: bytes, context: UInt32(bytes[9])))
            #expect(!rule.text.isEmpty && !rule.text.contains("\n"))
            let match = rule.flowMatch
            #expect(match.overlaps(flow) == flow.overlaps(match))
            _ = match.contains(flow)
            _ = FlowSpec.fieldCount(bytes)
            if case .other = FlowType(bytes.word(at: FlowSpec.type)) {
                #expect(match.overlaps(flow) && !match.contains(flow))
            }
        }
        for count in [0, 1, 167, 169] {
            let odd = FlowMatch(specification: [UInt8](repeating: 0xff, count: count))
            #expect(odd.overlaps(flow) && !odd.contains(flow))
        }
    }

    @Test func onlyWhatCanBeTCPOverlaps() throws {
        let flow = try #require(FlowRule(isIPv6: false, destinationPort: 80).flowMatch)
        func overlaps(_ type: UInt32, _ change: (inout [UInt8]) -> Void = { _ in }) -> Bool {
            var bytes = [UInt8](repeating: 0, count: FlowSpec.size)
            bytes.store(type, at: FlowSpec.type)
            change(&bytes)
            return FlowMatch(specification: bytes).overlaps(flow)
        }
        #expect(overlaps(1) && overlaps(13) && overlaps(18) && overlaps(16) && overlaps(99))
        #expect(!overlaps(2) && !overlaps(3) && !overlaps(5) && !overlaps(9) && !overlaps(14))
        func etherType(_ type: [UInt8]) -> Bool {
            overlaps(18) {
                $0.replaceSubrange(FlowSpec.value + 12..<FlowSpec.value + 14, with: type)
                $0.replaceSubrange(FlowSpec.mask + 12..<FlowSpec.mask + 14, with: [0xff, 0xff])
            }
        }
        #expect(etherType([0x08, 0x00]) && !etherType([0x86, 0xdd]) && !etherType([0x08, 0x06]))
        // A tagged packet may belong to our flow.
        #expect(etherType([0x81, 0x00]))
        // A VLAN tag or driver data does not rule it out.
        #expect(
            overlaps(1 | FlowSpec.extensionFlag) {
                for index in FlowSpec.Extension.vlanType..<FlowSpec.matchLength {
                    $0[FlowSpec.mask + index] = 0xff
                }
            })
    }

    @Test func fieldsAreCountedAsMlx5Does() throws {
        func count(_ rule: FlowRule) throws -> Int? {
            FlowSpec.fieldCount(try FlowSpec.encode(rule, location: 0))
        }
        #expect(try count(FlowRule(isIPv6: false)) == 1)
        #expect(try count(FlowRule(isIPv6: true, destinationPort: 80)) == 2)
        #expect(
            try count(
                FlowRule(
                    isIPv6: false, source: [1, 1, 1, 1], destination: [2, 2, 2, 2], sourcePort: 1,
                    destinationPort: 80)) == 5)
        var bytes = try FlowSpec.encode(FlowRule(isIPv6: false), location: 0)
        bytes.store(UInt32(18), at: FlowSpec.type)
        #expect(FlowSpec.fieldCount(bytes) == nil)
        bytes.store(UInt32(13) | FlowSpec.extensionFlag, at: FlowSpec.type)
        bytes[FlowSpec.mask + 14] = 0xff
        #expect(FlowSpec.fieldCount(bytes) == 3)
    }
}

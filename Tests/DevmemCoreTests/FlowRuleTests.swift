import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct FlowRuleTests {
    @Test func ruleIsEncodedAsTheKernelReadsIt() throws {
        let bytes = try FlowSpec.encode(
            FlowRule(
                isIPv6: false, source: [192, 0, 2, 2], destination: [192, 0, 2, 1],
                destinationPort: 0x1451, target: .queue(7)),
            location: 0xffff_ffff)
        #expect(bytes.count == 168)
        #expect(bytes.word(at: 0) == 1)
        #expect(bytes[4..<16] == [192, 0, 2, 2, 192, 0, 2, 1, 0, 0, 0x14, 0x51])
        #expect(bytes[76..<88] == [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 255, 255])
        #expect(bytes.word(at: 152) == 7)
        #expect(bytes.word(at: 160) == 0xffff_ffff)
        #expect(bytes[88..<152].allSatisfy { $0 == 0 })
    }

    @Test func ruleOfIPv6IsEncodedAsTheKernelReadsIt() throws {
        let bytes = try FlowSpec.encode(
            FlowRule(
                isIPv6: true, destination: Array(1...16), sourcePort: 0x0102,
                destinationPort: 0x0304, target: .queue(2)), location: 5)
        #expect(bytes.word(at: 0) == 5)
        #expect(bytes[4..<20].allSatisfy { $0 == 0 })
        #expect(Array(bytes[20..<40]) == Array(1...16) + [1, 2, 3, 4])
        #expect(bytes[76..<92].allSatisfy { $0 == 0 })
        #expect(bytes[92..<112].allSatisfy { $0 == 255 })
    }

    @Test func ruleIsDescribedInTheWordsOfEthtool() {
        #expect(
            FlowRule(
                isIPv6: false, source: [192, 0, 2, 2], destination: [192, 0, 2, 1],
                sourcePort: 9, destinationPort: 5201, target: .queue(7)
            ).description
                == "flow-type tcp4 src-ip 192.0.2.2 dst-ip 192.0.2.1 src-port 9 dst-port 5201 action 7"
        )
    }

    @Test func addressOfTheOtherFamilyIsRefused() {
        #expect(throws: DevmemError.self) {
            try FlowSpec.encode(
                FlowRule(isIPv6: true, destination: [1, 2, 3, 4]), location: 0)
        }
    }

    @Test func newContextMustBeMadeFirst() {
        #expect(throws: DevmemError.self) {
            try FlowSpec.encode(FlowRule(isIPv6: true, target: .newContext), location: 0)
        }
    }

    @Test func installedRulesAreReadBack() throws {
        let rules = [
            FlowRule(
                isIPv6: true, source: Array(1...16), destinationPort: 80, target: .context(3)),
            FlowRule(
                isIPv6: false, source: [1, 2, 3, 4], destination: [5, 6, 7, 8], sourcePort: 258,
                destinationPort: 65535, target: .queue(7)),
        ]
        for rule in rules {
            let bytes = try FlowSpec.encode(rule, location: 9)
            let installed = try #require(InstalledRule(specification: bytes, context: 3))
            #expect(installed.rule == rule)
            #expect(installed.isSame(as: rule))
            #expect(installed.location == 9)
            #expect(installed.text == rule.description)
            #expect(!installed.isSame(as: rule.aimed(at: .queue(1))))
            #expect(installed.matchesSame(as: rule.aimed(at: .queue(1))))
        }
    }

    @Test func rulesOfOtherKindsAreNotTakenForOurs() throws {
        let rule = FlowRule(isIPv6: false, destinationPort: 80, target: .queue(1))
        let bytes = try FlowSpec.encode(rule, location: 0)
        func installed(_ change: (inout [UInt8]) -> Void) throws -> InstalledRule {
            var copy = bytes
            change(&copy)
            return try #require(InstalledRule(specification: copy, context: 0))
        }
        // A partial mask, UDP, an extension, and dropping packets.
        let partial = try installed { $0[FlowSpec.mask + 10] = 0xf0 }
        #expect(partial.rule == nil && !partial.isSame(as: rule))
        let udp = try installed { $0.store(UInt32(2), at: FlowSpec.type) }
        #expect(udp.rule == nil && !udp.isSame(as: rule) && udp.queue == 1)
        #expect(udp.text == "flow-type udp4 dst-port 80 action 1")
        let extended = try installed { $0.store(UInt32(0x8000_0001), at: FlowSpec.type) }
        #expect(!extended.isSame(as: rule))
        let drop = try installed { $0.store(UInt64.max, at: FlowSpec.ringCookie) }
        #expect(
            drop.queue == nil && drop.rule == nil
                && drop.text == "flow-type tcp4 dst-port 80 action -1")
        // A value outside the mask has no meaning.
        #expect(try installed { $0[FlowSpec.value] = 9 }.isSame(as: rule))
        #expect(InstalledRule(specification: Array(bytes.dropLast()), context: 0) == nil)
    }

    @Test func rulesOfEveryTypeAreReportedInTheWordsOfEthtool() throws {
        func text(_ type: UInt32, _ context: UInt32 = 0, _ change: (inout [UInt8]) -> Void)
            -> String?
        {
            var bytes = [UInt8](repeating: 0, count: FlowSpec.size)
            bytes.store(type, at: FlowSpec.type)
            change(&bytes)
            return InstalledRule(specification: bytes, context: context)?.text
        }
        func set(_ bytes: inout [UInt8], _ offset: Int, _ value: [UInt8], _ mask: [UInt8]) {
            bytes.replaceSubrange(
                FlowSpec.value + offset..<FlowSpec.value + offset + value.count, with: value)
            bytes.replaceSubrange(
                FlowSpec.mask + offset..<FlowSpec.mask + offset + mask.count, with: mask)
        }
        #expect(
            text(1) {
                set(&$0, 4, [10, 0, 0, 0], [255, 0, 0, 0])
                set(&$0, 10, [0, 80], [255, 255])
                $0.store(UInt64(3), at: FlowSpec.ringCookie)
            } == "flow-type tcp4 dst-ip 10.0.0.0 m 0.255.255.255 dst-port 80 action 3")
        #expect(
            text(13) {
                set(&$0, 14, [6], [255])
                $0.store(UInt64.max, at: FlowSpec.ringCookie)
            } == "flow-type ip4 l4proto 6 action -1")
        #expect(
            text(14) { set(&$0, 32, [0, 1, 0, 2], [255, 255, 255, 255]) }
                == "flow-type ip6 l4data 65538 action 0")
        #expect(
            text(18 | FlowSpec.rssFlag, 4) {
                set(&$0, 0, [2, 0, 0, 0, 0, 1], [255, 255, 255, 255, 255, 255])
                set(&$0, 12, [8, 0], [255, 255])
            } == "flow-type ether dst 02:00:00:00:00:01 proto 0x800 context 4")
        #expect(
            text(2 | FlowSpec.extensionFlag | FlowSpec.hardwareAddressFlag) {
                set(&$0, FlowSpec.Extension.vlanTag, [0, 5], [0x0f, 0xff])
                set(&$0, FlowSpec.Extension.destination, [2, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 255])
                $0.store(UInt64(3) << 32 | 6, at: FlowSpec.ringCookie)
            }
                == "flow-type udp4 vlan 5 m 61440 dst-mac 00:00:00:00:00:01 m ff:ff:ff:ff:ff:00 "
                + "vf 2 queue 6")
        #expect(
            text(9) { set(&$0, 8, [0, 0, 0, 7], [255, 255, 255, 255]) }
                == "flow-type ah4 spi 7 action 0")
        #expect(text(77) { _ in } == "flow-type 77 action 0")
    }

    @Test func placeIsTheDriversChoiceOrTheLowestFree() throws {
        var table = FlowRuleTable(locations: [0, 1, 3], capacity: 5, choosesLocation: true)
        #expect(try table.place() == 0xffff_ffff)
        table.choosesLocation = false
        #expect(try table.place() == 2)
        table.locations = [0, 1, 2, 3, 4]
        #expect(throws: DevmemError.self) { try table.place() }
        table.capacity = nil
        #expect(try table.place() == 5)
    }

    /// The answers of the four drivers, and others.
    @Test func sizeOfTheTableIsBelievedWhereItLeavesRoom() {
        let special: UInt32 = 0x8000_0000
        func table(_ count: UInt32, _ all: UInt32, _ used: Int) -> FlowRuleTable {
            FlowRuleTable(count: count, all: all, locations: (0..<used).map { UInt32($0) })
        }
        // bnxt: the second answer is the number of rules.
        #expect(table(5120 | special, 1, 1).capacity == 5120)
        #expect(table(5120 | special, 0, 0).choosesLocation)
        // mlx5: the first answer has no size.
        #expect(table(0, 1024, 3).capacity == 1024 && !table(0, 1024, 3).choosesLocation)
        // gve and fbnic: the same size in both.
        #expect(table(16, 16, 2).capacity == 16)
        #expect(table(48 | special, 48, 47).capacity == 48)
        // No size, and sizes that leave no room.
        #expect(table(special, 0, 0).capacity == nil)
        #expect(table(special, 2, 2).capacity == nil && !table(special, 2, 2).isFull)
        #expect(table(0, 1024, 1024).capacity == nil && !table(0, 1024, 1024).isFull)
        #expect(table(16, 16, 16).capacity == nil && table(16, 16, 16).isFull)
        #expect(table(3, 9, 5).capacity == nil && !table(3, 9, 5).isFull)
        #expect(table(.max, .max, 1).capacity == 0x7fff_ffff)
        #expect(
            FlowRuleTable(count: special, all: 9, locations: [7, 1, 4]).locations == [1, 4, 7])
    }

    @Test func listsThatChangeWhileTheyAreReadAreReadAgain() throws {
        func read(_ answers: [Errno?]) throws(DevmemError) -> Int {
            var asked = 0
            return try readStableList(tries: 4) { () throws(DevmemError) in
                defer { asked += 1 }
                if let errno = answers[asked] { throw DevmemError(.system, call: "", errno: errno) }
                return asked
            }
        }
        #expect(try read([nil]) == 0)
        #expect(try read([.messageTooLong, .invalidArgument, nil]) == 2)
        let restless = [Errno?](repeating: .messageTooLong, count: 4)
        #expect(throws: DevmemError.self) { try read(restless) }
        #expect(throws: DevmemError.self) { try read([.ioError, nil]) }
    }

    @Test func aRuleThatVanishesWhileRulesAreReadIsLeftOut() throws {
        let bytes = try FlowSpec.encode(
            FlowRule(isIPv6: false, destinationPort: 80), location: 3)
        let found = try rules(at: [2, 3, 4]) { location throws(DevmemError) in
            location == 3 ? InstalledRule(specification: bytes, context: 0) : nil
        }
        #expect(found.map(\.location) == [3])
    }
}

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
        // A partial mask, UDP, an extension, dropping.
        let partial = try installed { $0[FlowSpec.mask + 10] = 0xf0 }
        #expect(partial.rule == nil && !partial.isSame(as: rule))
        let udp = try installed { $0.store(UInt32(2), at: FlowSpec.type) }
        #expect(udp.rule == nil && !udp.isSame(as: rule) && udp.queue == 1)
        #expect(udp.text == "flow-type 2 action 1")
        let extended = try installed { $0.store(UInt32(0x8000_0001), at: FlowSpec.type) }
        #expect(!extended.isSame(as: rule))
        let drop = try installed { $0.store(UInt64.max, at: FlowSpec.ringCookie) }
        #expect(drop.queue == nil && drop.rule == nil && drop.text == "flow-type 1 action -1")
        // A value where no mask is set means nothing.
        #expect(try installed { $0[FlowSpec.value] = 9 }.isSame(as: rule))
        #expect(InstalledRule(specification: Array(bytes.dropLast()), context: 0) == nil)
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
}

import Testing

@testable import DevmemCore

@Suite struct FamilyPolicyTests {
    private func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        raw(UInt16(4 + payload.count)) + raw(type) + payload
            + [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
    }

    /// Builds a reply that names the policy of a command.
    private func command(_ number: UInt16, policy: UInt32) -> [UInt8] {
        attribute(9, attribute(number, attribute(1, raw(policy)) + attribute(2, raw(UInt32(99)))))
    }

    /// Builds a reply with one attribute of one policy; `nest` is the policy of its nested
    /// attributes.
    private func member(
        _ policy: UInt16, _ number: UInt16, nest: UInt32? = nil
    ) -> [UInt8] {
        let facts = attribute(1, raw(UInt32(4))) + (nest.map { attribute(8, raw($0)) } ?? [])
        return attribute(8, attribute(policy, attribute(number, facts)))
    }

    private func read(_ replies: [[UInt8]]) throws(DevmemError) -> FamilyPolicy {
        var attributes: [NetlinkAttributes] = []
        for reply in replies { attributes.append(try NetlinkAttributes(reply[...])) }
        let table = try FamilyPolicy.read(attributes)
        return FamilyPolicy(
            commands: [], attributes: table.attributes, nested: table.nested)
    }

    @Test func putsPartsOfADumpTogether() throws {
        // A policy may precede the commands that use it, and may serve several.
        let policy = try read([
            member(0, 1), command(13, policy: 0), command(15, policy: 0), member(0, 5),
            member(0, 2, nest: 3), member(3, 1), member(3, 3), command(10, policy: 4),
        ])
        #expect(policy.attributes == [13: [1, 2, 5], 15: [1, 2, 5], 10: []])
        #expect(policy.nested[13] == [2: [1, 3]])
        #expect(policy.nested[10] == [:])
    }

    @Test func severalInOneReply() throws {
        let policy = try read([command(16, policy: 2) + member(2, 11) + member(2, 17)])
        #expect(policy.attributes == [16: [11, 17]])
    }

    @Test func nothingIsNothing() throws {
        #expect(try read([]).attributes.isEmpty)
        #expect(try read([[], attribute(1, raw(UInt32(7)))]).attributes.isEmpty)
    }

    @Test func aCommandWithoutRequestsHasNoPolicy() throws {
        let dumpOnly = attribute(9, attribute(12, attribute(2, raw(UInt32(0)))))
        #expect(try read([dumpOnly, member(0, 1)]).attributes.isEmpty)
    }

    @Test func commandsBeyondAByteAreNotTakenForOthers() throws {
        #expect(try read([command(256 + 13, policy: 0), member(0, 5)]).attributes.isEmpty)
    }

    @Test func policiesThatNestThemselvesEnd() throws {
        let policy = try read([command(1, policy: 0), member(0, 7, nest: 0)])
        #expect(policy.attributes == [1: [7]])
        #expect(policy.nested == [1: [7: [7]]])
    }

    @Test func policiesThatAreNotThereAreEmpty() throws {
        let policy = try read([
            command(1, policy: 5), command(2, policy: .max), member(0, 7, nest: 9),
        ])
        #expect(policy.attributes == [1: [], 2: []])
    }

    @Test func lengthsThatLieAreRefused() {
        for payload: [UInt8] in [[3, 0, 1, 0], [200, 0, 1, 0], [0, 0, 0, 0]] {
            #expect(throws: DevmemError.self) { try read([attribute(8, payload)]) }
            #expect(throws: DevmemError.self) { try read([attribute(9, payload)]) }
            #expect(throws: DevmemError.self) {
                try read([attribute(8, attribute(0, attribute(3, payload)))])
            }
        }
    }

    @Test func hostileBytesEndInAValueOrAnError() {
        var random = SystemRandomNumberGenerator()
        let whole =
            command(13, policy: 0) + member(0, 1) + member(0, 2, nest: 1) + member(1, 3)
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<3 {
                let place = Int.random(in: bytes.indices, using: &random)
                bytes[place] = .random(in: .min ... .max, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...8, using: &random))
            do throws(DevmemError) {
                _ = try read([bytes])
            } catch {
                refused += 1
                #expect(error.kind == .malformed)
            }
        }
        #expect(refused > 0)
    }
}

import FoundationEssentials
import Logging
import Testing

@testable import DevmemCore

/// Files and the kernel may supply any number. The result is a value or an error, never a trap,
/// which would end the process while the NIC is steered.
@Suite struct HostileNumberTests {
    static let extremes = [
        "0", "1", "7", "255", "65535", "65536", "2147483647", "4294967295", "4294967295",
        "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e308",
    ]

    /// Returns a text with some of its numbers and lists replaced.
    private func damaged(_ text: String, _ random: inout SeededGenerator) -> String {
        var result = ""
        var rest = text[...]
        while let start = rest.firstIndex(where: { $0.isASCII && $0.isNumber }) {
            result += rest[..<start]
            rest = rest[start...]
            let number = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(number.count)
            let isReplaced = UInt8.random(in: 0..<60, using: &random) == 0
            let replacement = Self.extremes.randomElement(using: &random) ?? "0"
            result += isReplaced ? replacement : String(number)
        }
        result += rest
        guard Bool.random(using: &random), let open = result.firstIndex(of: "["),
            let end = result[open...].firstIndex(of: "]")
        else { return result }
        result.replaceSubrange(open...end, with: "[]")
        return result
    }

    @Test func journalsOfAnyNumbersAreReversed() throws {
        var tried = 0
        for seed in 1...200 {
            var random = SeededGenerator(seed: UInt64(seed))
            let scene = try SteeringScene(seed: UInt64(seed))
            guard var whole = try scene.journal() else { continue }
            whole.begun = whole.changes.count
            let text = String(decoding: try JSONEncoder().encode(whole), as: UTF8.self)
            for _ in 0..<20 {
                let bytes = Data(damaged(text, &random).utf8)
                guard var journal = try? JSONDecoder().decode(SteeringJournal.self, from: bytes)
                else { continue }
                tried += 1
                _ = journal.changes.map(\.description)
                _ = journal.maker
                let scene = try SteeringScene(seed: UInt64(seed))
                _ = journal.reverse(on: scene.nic, logger: Logger(label: "test")) { _ in }
            }
        }
        #expect(tried > 500)
    }

    @Test func netlinkRepliesOfAnyNumbersAreRead() throws {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                let size = [0, 1, 2, 3, 4, 8, 16].randomElement(using: &random) ?? 4
                bytes += words([UInt16(4 + size), .random(in: 0...60, using: &random)])
                let filler: [UInt8] = [0, 0xff, .random(in: .min ... .max, using: &random)]
                let byte = filler.randomElement(using: &random) ?? 0
                bytes += [UInt8](repeating: byte, count: alignedToFour(size))
            }
            bytes.removeLast(min(Int.random(in: 0...3, using: &random), bytes.count))
            guard let attributes = try? NetlinkAttributes(bytes[...]) else { continue }
            _ = try? QueueInfo(attributes)
            _ = PagePoolInfo(attributes)
            _ = QueueStatistics(attributes)
            _ = RingSettings(attributes)
            let header = [UInt8](repeating: 0xff, count: 16)
            _ = try? LinkInfo((header + bytes)[...])
            _ = try? Route((header.prefix(12) + bytes)[...])
        }
    }

    @Test func attributesOfARequestThatIsTooShortHaveNoNames() {
        for length in 0..<NetlinkFrame.headerLength + 8 {
            let request = [UInt8](repeating: 0, count: length)
            #expect(NetdevNumber.bindNames.path(at: 20, in: request) == nil)
        }
    }

    @Test func rulesOfAnyBytesAreRead() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<20_000 {
            var bytes = [UInt8](repeating: 0, count: FlowSpec.size)
            for _ in 0..<Int.random(in: 0...60, using: &random) {
                let place = Int.random(in: bytes.indices, using: &random)
                bytes[place] = [0xff, 1, 0x7f, 0x80].randomElement(using: &random) ?? 0
            }
            bytes.store(UInt32.random(in: 0...20, using: &random), at: FlowSpec.type)
            guard let rule = InstalledRule(specification: bytes, context: .max) else { continue }
            _ = (rule.text, rule.queue, rule.queueOffset, rule.rule?.description)
        }
    }

    @Test func tablesOfAnyQueuesAreRestored() {
        let tables: [[UInt32]] = [[], [0], [.max], [0, .max], [1, 2, 3, 4], [.max, .max, 5]]
        for before in tables {
            for after in tables {
                for now in tables {
                    for count in [nil, 0, 1, 4, Int.max] {
                        _ = TableRestoration(
                            before: before, after: after, isDefault: count == 4, now: now,
                            taken: [0, .max], queueCount: count)
                    }
                    _ = SteeringPlan.indirection(now, without: Set(before), queueCount: 4)
                    _ = evenIndirection(slots: 8, over: Set(now).sorted())
                    _ = EthtoolCommands.indirectionArguments(now)
                    _ = queueList(now)
                }
            }
        }
    }

    private func words(_ numbers: [UInt16]) -> [UInt8] {
        numbers.flatMap { number in withUnsafeBytes(of: number) { Array($0) } }
    }
}

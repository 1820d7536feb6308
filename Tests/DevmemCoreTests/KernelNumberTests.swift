import CDevmem
import FoundationEssentials
import Testing

@testable import DevmemCore

/// A case of an enumeration must have a literal for its raw value, so these are compared here.
@Suite struct KernelNumberTests {
    @Test func rawValuesAreTheKernels() {
        #expect(QueueType.rx.rawValue == cdm_NETDEV_QUEUE_TYPE_RX)
        #expect(QueueType.tx.rawValue == cdm_NETDEV_QUEUE_TYPE_TX)
        #expect(HeaderSplit.unknown.rawValue == cdm_ETHTOOL_TCP_DATA_SPLIT_UNKNOWN)
        #expect(HeaderSplit.off.rawValue == cdm_ETHTOOL_TCP_DATA_SPLIT_DISABLED)
        #expect(HeaderSplit.on.rawValue == cdm_ETHTOOL_TCP_DATA_SPLIT_ENABLED)
        #expect(XDPProgram.Mode.native.rawValue == cdm_XDP_ATTACHED_DRV)
        #expect(XDPProgram.Mode.generic.rawValue == cdm_XDP_ATTACHED_SKB)
        #expect(XDPProgram.Mode.offloaded.rawValue == cdm_XDP_ATTACHED_HW)
        #expect(XDPProgram.Mode.several.rawValue == cdm_XDP_ATTACHED_MULTI)
    }

    @Test func eachCounterHasAName() {
        let count = cdm_NETDEV_A_QSTATS_TX_WAKE - cdm_NETDEV_A_QSTATS_RX_PACKETS + 1
        #expect(QueueStatistics.names.count == Int(count))
    }

    /// A number of the kernel's comes from its headers or stands in CDevmem, which compares it with
    /// them: where an enumeration of this target names numbers, none is written out.
    @Test func noNumberOfTheKernelsIsRetyped() throws {
        let sources = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources").path
        var found: [String] = []
        for path in try FileManager.default.subpathsOfDirectory(atPath: sources)
        where path.hasSuffix(".swift") {
            let text = try String(contentsOfFile: "\(sources)/\(path)", encoding: .utf8)
            found += Self.retyped(in: text).map { "\(path):\($0)" }
        }
        #expect(found == [])
    }

    @Test func retypedNumbersAreFound() {
        let text = """
            private enum Attribute {
                static let header: UInt16 = 1
                static let good = cdm_GOOD
                enum Inner { static let flag: UInt32 = 1 << 3 }
                static let mask: UInt32 = ~3
            }
            struct Buffer { static let size = 4096 }
            """
        #expect(Self.retyped(in: text) == [2, 4, 5])
    }

    /// Lines that give a name to a literal in an enumeration of attributes, numbers, offsets or
    /// commands.
    private static func retyped(in text: String) -> [Int] {
        let kinds = ["Attribute", "Number", "Layout", "Command", "Flag"]
        var depths: [Int] = []
        var depth = 0
        var found: [Int] = []
        for (index, line) in text.utf8.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
        ).enumerated() {
            let words = String(Substring(line)).split(separator: " ")
            if let place = words.firstIndex(of: "enum"), place + 1 < words.count,
                kinds.contains(where: { words[place + 1].contains($0) })
            {
                depths.append(depth)
            }
            let equals = words.firstIndex(of: "=").map { words[($0 + 1)...].first ?? "" } ?? ""
            let isLiteral = equals.drop { "~(-".contains($0) }.first?.isNumber == true
            if isLiteral, words.contains("let"), !depths.isEmpty { found.append(index + 1) }
            for byte in line {
                if byte == UInt8(ascii: "{") { depth += 1 }
                if byte == UInt8(ascii: "}") { depth -= 1 }
            }
            if let last = depths.last, depth <= last { depths.removeLast() }
        }
        return found
    }
}

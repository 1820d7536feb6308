import FoundationEssentials
import Testing

@testable import DevmemCore

@Suite struct CompactJSONTests {
    private enum Choice: Equatable, Codable {
        case bare
        case named(number: UInt32, text: String?)
    }

    private struct Everything: Equatable, Codable {
        var integers = [Int64.min, -1, 0, Int64.max]
        var large = UInt64.max
        var number = 0.1
        var single = Float(-2.5)
        var yes = true
        var no = false
        var absent: Int?
        var text = "a\"b\\c/d\n\u{1f}\u{0}é\u{1F600}"
        var choices = [Choice.bare, .named(number: 7, text: nil), .named(number: 8, text: "")]
        var settings: [String: UInt32] = ["rx": 1, "tx\t": 2]
        var numbered: [Int: String] = [4: "four"]
        var nothing: [String] = []
        var nested = [[1, 2], [], [3]]
        var some: [Int?] = [nil, 1]
    }

    private func text(_ value: some Encodable) throws -> String {
        String(decoding: try CompactJSON.encode(value), as: UTF8.self)
    }

    @Test func foundationReadsWhatIsWritten() throws {
        let value = Everything()
        let bytes = try CompactJSON.encode(value)
        #expect(try JSONDecoder().decode(Everything.self, from: Data(bytes)) == value)
        // One line of text, whatever the strings contain.
        #expect(bytes.allSatisfy { $0 >= 0x20 })
    }

    @Test func keysStandInTheOrderOfTheValue() throws {
        let named = Choice.named(number: 7, text: "x")
        #expect(try text(named) == #"{"named":{"number":7,"text":"x"}}"#)
        #expect(try text([Choice.bare]) == #"[{"bare":{}}]"#)
        #expect(try text("a\nb") == #""a\u000ab""#)
        #expect(try text([Int?.none, 2]) == "[null,2]")
        #expect(try text([1.5, -0.0]) == "[1.5,-0.0]")
        #expect(try text([String]()) == "[]")
    }

    @Test func whatIsNoNumberIsRefused() {
        for number in [Double.nan, .infinity, -.infinity] {
            #expect(throws: EncodingError.self) { try CompactJSON.encode([number]) }
            #expect(throws: EncodingError.self) { try CompactJSON.encode(Float(number)) }
        }
    }
}

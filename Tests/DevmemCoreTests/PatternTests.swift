import Testing

@testable import DevmemCore

@Suite struct PatternTests {
    private func check(_ pattern: String, _ chunks: [[UInt8]]) throws -> PatternChecker {
        var checker = PatternChecker(try Pattern(pattern))
        for chunk in chunks { chunk.withUnsafeBytes { checker.check($0) } }
        return checker
    }

    @Test func numberIsThePatternOfNcdevmem() throws {
        #expect(try Pattern("7").bytes == [1, 2, 3, 4, 5, 6, 10])
        #expect(try Pattern("2").bytes == [1, 10])
        #expect(try Pattern("256").bytes.count == 256)
    }

    @Test func digitsAreBytes() throws {
        #expect(try Pattern("hex:00ffA0").bytes == [0, 255, 160])
    }

    @Test(arguments: ["", "0", "1", "257", "-7", "hex:", "hex:0", "hex:0g", "hex:+1", "abc"])
    func otherTextIsRefused(text: String) {
        #expect(throws: DevmemError.self) { try Pattern(text) }
    }

    @Test(arguments: ["2", "7", "251", "256", "hex:00"])
    func streamIsFollowedAcrossChunks(text: String) throws {
        let period = try Pattern(text).bytes
        let stream = (0..<300_000).map { period[$0 % period.count] }
        var chunks: [[UInt8]] = []
        var start = 0
        var random = SystemRandomNumberGenerator()
        while start < stream.count {
            let length = min(Int.random(in: 1...90_000, using: &random), stream.count - start)
            chunks.append(Array(stream[start..<start + length]))
            start += length
        }
        let checker = try check(text, chunks)
        #expect(checker.checkedBytes == 300_000)
        #expect(checker.wrongBytes == 0)
        #expect(checker.firstMismatch == nil)
    }

    @Test(arguments: [0, 1, 6, 7, 65_535, 65_536, 131_080, 199_999])
    func oneWrongBitIsFoundAtItsOffset(offset: Int) throws {
        let period = try Pattern("7").bytes
        var stream = (0..<200_000).map { period[$0 % 7] }
        stream[offset] ^= 0x10
        let checker = try check("7", [Array(stream[..<70_001]), Array(stream[70_001...])])
        #expect(checker.wrongBytes == 1)
        #expect(
            checker.firstMismatch
                == PatternChecker.Mismatch(
                    offset: UInt64(offset), expected: period[offset % 7], found: stream[offset]))
    }

    @Test func everyWrongByteIsCountedAndTheFirstKept() throws {
        let checker = try check("hex:00", [[0, 1, 0, 2], [3]])
        #expect(checker.wrongBytes == 3)
        #expect(checker.firstMismatch?.offset == 1)
        #expect(checker.firstMismatch?.found == 1)
    }
}

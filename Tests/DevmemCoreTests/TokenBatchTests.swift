import Testing

@testable import DevmemCore

@Suite struct TokenBatchTests {
    private func batch(_ tokens: [UInt32]) -> TokenBatch {
        var batch = TokenBatch()
        for token in tokens {
            let taken = batch.append(token)
            #expect(taken)
        }
        return batch
    }

    private func range(_ start: UInt32, _ count: UInt32) -> TokenBatch.Range {
        TokenBatch.Range(start: start, count: count)
    }

    @Test func risingTokensMakeOneRange() {
        let batch = batch([1, 2, 3, 4])
        #expect(batch.ranges == [range(1, 4)])
        #expect(batch.fragmentCount == 4)
    }

    @Test func fallingTokensMakeOneRange() {
        #expect(batch([9, 8, 7]).ranges == [range(7, 3)])
    }

    @Test func gapsBeginNewRanges() {
        #expect(batch([1, 2, 5, 6, 4, 9]).ranges == [range(1, 2), range(4, 3), range(9, 1)])
    }

    @Test func repeatedTokenIsNotMerged() {
        #expect(batch([5, 5]).ranges == [range(5, 1), range(5, 1)])
    }

    @Test func endsOfTheNumberRangeDoNotWrap() {
        #expect(batch([.max, 0]).ranges == [range(.max, 1), range(0, 1)])
        #expect(batch([0, .max]).ranges == [range(0, 1), range(.max, 1)])
    }

    @Test func takesNoMoreThanTheKernelsRanges() {
        var batch = TokenBatch()
        var taken = 0
        while batch.append(UInt32(taken * 2 + 1)) { taken += 1 }
        #expect(taken == 128)
        // A token that continues the last range still fits.
        let continued = batch.append(UInt32(127 * 2 + 2))
        #expect(continued)
        #expect(batch.rangeCount == 128)
    }

    @Test func takesNoMoreThanTheKernelsFragments() {
        var batch = TokenBatch()
        var token: UInt32 = 1
        while batch.append(token) { token += 1 }
        #expect(batch.ranges == [range(1, 1024)])
    }

    @Test func runsMergeAtEitherEnd() {
        var batch = TokenBatch()
        for run in [range(10, 5), range(15, 2), range(7, 3), range(30, 1), range(17, 1)] {
            let left = batch.append(run)
            #expect(left == nil)
        }
        #expect(batch.ranges == [range(7, 10), range(30, 1), range(17, 1)])
        #expect(batch.fragmentCount == 12)
    }

    @Test func whatARunHasNoRoomForIsLeft() {
        var batch = batch([5000])
        var left = batch.append(range(1, 2000))
        #expect(left == range(1024, 977))
        #expect(batch.ranges == [range(5000, 1), range(1, 1023)])
        left = batch.append(range(1024, 977))
        #expect(left == range(1024, 977))
    }

    @Test func noRoomForARangeLeavesTheRun() {
        var batch = batch((0..<128).map { $0 * 2 + 1 })
        let left = batch.append(range(1000, 3))
        #expect(left == range(1000, 3))
        #expect(batch.fragmentCount == 128)
    }

    @Test func runsThatCouldNotBeMovedRemain() {
        var runs = [range(1, 1000), range(5000, 2000), range(9000, 1)]
        var batch = TokenBatch()
        var returned: [TokenBatch.Range] = []
        let error = #expect(throws: DevmemError.self) {
            try batch.append(&runs) { full throws(DevmemError) in
                guard returned.isEmpty else { throw DevmemError(.system, call: "return") }
                returned = full.ranges
                full.removeAll()
            }
        }
        #expect(error?.kind == .system && returned == [range(1, 1000), range(5000, 24)])
        #expect(batch.ranges == [range(5024, 1024)])
        #expect(runs == [range(6048, 952), range(9000, 1)])
    }

    private func runs(of tokens: [UInt32]) -> [TokenBatch.Range] {
        var run = TokenRun()
        var found = tokens.compactMap { run.append($0) }
        if let ended = run.end() { found.append(ended) }
        let left = run.end()
        #expect(left == nil)
        return found
    }

    @Test func runsAreOfTokensThatFollowEachOther() {
        #expect(runs(of: []) == [])
        #expect(runs(of: [0, 1, 2, 7, 8]) == [range(0, 3), range(7, 2)])
        #expect(runs(of: [5, 5]) == [range(5, 1), range(5, 1)])
        #expect(runs(of: [3, 2]) == [range(3, 1), range(2, 1)])
        #expect(runs(of: [.max - 1, .max, 0]) == [range(.max - 1, 2), range(0, 1)])
    }

    @Test func isEmptyAfterRemoval() {
        var batch = batch([1, 2, 9])
        batch.removeAll()
        #expect(batch.isEmpty)
        #expect(batch.ranges.isEmpty)
        let taken = batch.append(3)
        #expect(taken)
        #expect(batch.ranges == [range(3, 1)])
    }

    @Test func bytesAreAnArrayOfTokenStructures() {
        let bytes = batch([1, 2, 9]).withUnsafeBytes { Array($0) }
        #expect(bytes == raw(UInt32(1)) + raw(UInt32(2)) + raw(UInt32(9)) + raw(UInt32(1)))
    }

    @Test func everyTokenIsInExactlyOneRange() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let tokens = (1...100 as ClosedRange<UInt32>).shuffled(using: &random)
            var found: [UInt32] = []
            for range in batch(tokens).ranges {
                found += range.start..<range.start + range.count
            }
            #expect(found.sorted() == tokens.sorted())
        }
    }
}

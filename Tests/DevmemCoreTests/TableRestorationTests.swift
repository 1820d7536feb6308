import Testing

@testable import DevmemCore

@Suite struct TableRestorationTests {
    /// A user's table over queues 0 to 3, from which 3 was taken.
    private let before: [UInt32] = [0, 3, 3, 1, 2, 2, 3, 0]
    private let after: [UInt32] = [0, 0, 1, 1, 2, 2, 2, 0]

    private func restoration(_ now: [UInt32], queueCount: Int? = 4) -> TableRestoration {
        TableRestoration(
            before: before, after: after, isDefault: false, now: now, taken: [3],
            queueCount: queueCount)
    }

    @Test func entriesAreRestoredOneByOne() {
        #expect(restoration(after).goal == before)
        #expect(restoration(after).outcomes == [.restored("RSS table as before")])
        var now = after
        now[1] = 2
        let partly = restoration(now)
        #expect(partly.goal == [0, 2, 3, 1, 2, 2, 3, 0])
        #expect(
            partly.outcomes == [
                .restored("RSS table as before"),
                .leftAlone("1 RSS table entries were changed meanwhile"),
            ])
    }

    @Test func aLargerTableRepeatsItsPattern() {
        let result = restoration(after + after)
        #expect(result.goal == before + before && !result.resets)
        #expect(
            result.outcomes.last
                == .leftAlone("the RSS table has 16 entries, not 8; its pattern is repeated"))
    }

    @Test func queuesThatAreGoneAreNotWritten() {
        let result = restoration(after, queueCount: 3)
        #expect(result.goal == after)
        #expect(
            result.outcomes == [
                .leftAlone("3 RSS table entries led to queues that are gone, and were redirected")
            ])
    }

    @Test func aTakenQueueIsNotLeftOutWithoutAWord() {
        let now: [UInt32] = [1, 1, 0, 0, 1, 1, 0, 0]
        let result = restoration(now)
        #expect(result.goal.contains(3) == false)
        #expect(
            result.outcomes.last == .leftAlone("the RSS table no longer leads to queue 3"))
    }

    @Test func aDefaultThatOthersChangedKeepsTheirs() {
        let before = defaultIndirection(slots: 8, queues: 4)
        let after = SteeringPlan.indirection(before, without: [3], queueCount: 4)
        var now = after
        now[0] = 2
        let result = TableRestoration(
            before: before, after: after, isDefault: true, now: now, taken: [3], queueCount: 4)
        #expect(!result.resets)
        #expect(result.goal == [2, 1, 2, 3, 0, 1, 2, 3])
    }

    @Test func tablesOfAnySizeAreFitted() {
        #expect(TableRestoration.fit([0, 1, 0, 1], to: 2) == [0, 1])
        #expect(TableRestoration.fit([0, 1, 2, 3], to: 2) == [0, 2])
        #expect(TableRestoration.fit([0, 1], to: 5) == [0, 1, 0, 1, 0])
        #expect(TableRestoration.fit([], to: 5) == [0, 0, 0, 0, 0])
        #expect(TableRestoration.fit([0, 1, 2], to: 0).isEmpty)
        // The kernel cuts a table that repeats its first part, however often.
        #expect(TableRestoration.fit([0, 1, 2, 0, 1, 2, 0, 1], to: 3) == [0, 1, 2])
    }

    @Test func anyNumbersMakeATable() {
        var random = SeededGenerator(seed: 5)
        func table() -> [UInt32] {
            (0..<Int.random(in: 1...9, using: &random)).map { _ in
                [0, 1, 2, .max].randomElement(using: &random) ?? 0
            }
        }
        for _ in 0..<5_000 {
            let now = table()
            let count = [nil, 0, 1, .max].randomElement(using: &random) ?? nil
            let result = TableRestoration(
                before: table(), after: table(), isDefault: .random(using: &random), now: now,
                taken: [1, .max], queueCount: count)
            #expect(result.goal.count == now.count)
        }
    }
}

import Testing

@testable import DevmemCore

@Suite struct InputCoalescerTests {
    private let target = 512 << 10

    private func coalescer(bringing bytes: Int, after time: UInt64) -> InputCoalescer {
        var coalescer = InputCoalescer(target: target, now: 1_000)
        coalescer.arrived(bytes, at: 1_000 + time)
        return coalescer
    }

    @Test func whatComesAloneIsNotKept() {
        let fresh = InputCoalescer(target: target, now: 0)
        #expect(!fresh.shouldWait(with: 1))
        #expect(fresh.wait(with: 1) == 0)
        let rare = coalescer(bringing: 100, after: 1_000_000_000)
        #expect(!rare.shouldWait(with: 100))
    }

    @Test func aStreamIsCoalescedUntilTheTarget() {
        // 64 KiB in 0.1 ms, so 448 KiB more in 0.7 ms.
        let stream = coalescer(bringing: 64 << 10, after: 100_000)
        #expect(stream.shouldWait(with: 64 << 10))
        #expect(stream.wait(with: 64 << 10) == 700_000)
        #expect(!stream.shouldWait(with: target))
        #expect(stream.reachesTarget(target))
        #expect(!stream.reachesTarget(target - 1))
    }

    @Test func aSlowStreamIsCoalescedNoLongerThanTheLimit() {
        // 4 KiB in 1 ms: 16 KiB within the limit, which is never enough but more than there is.
        let slow = coalescer(bringing: 4 << 10, after: 1_000_000)
        #expect(slow.shouldWait(with: 4 << 10))
        #expect(slow.wait(with: 4 << 10) == InputCoalescer.limit)
        #expect(!slow.shouldWait(with: (16 << 10) + 1))
    }

    @Test func asMuchAgainIsWorthTheWait() {
        // 4 KiB within the limit, as much as there is.
        let slow = coalescer(bringing: 4 << 10, after: InputCoalescer.limit)
        #expect(slow.shouldWait(with: 4 << 10) && !slow.shouldWait(with: (4 << 10) + 1))
    }

    @Test func aTargetThatIsNeverReachedIsWaitedForNoLongerThanTheLimit() {
        var coalescer = InputCoalescer(target: .max, now: 0)
        coalescer.arrived(1, at: InputCoalescer.limit)
        #expect(coalescer.wait(with: 1) == InputCoalescer.limit)
    }

    @Test func inputThatIsAlwaysThereNeverWaits() {
        var file = InputCoalescer(target: 0, now: 0)
        file.arrived(1 << 20, at: 1)
        #expect(!file.shouldWait(with: 1))
        #expect(file.wait(with: 1) == 0)
        #expect(!file.reachesTarget(1 << 30))
    }

    @Test func anyNumbersAreAccepted() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            let target = Int.random(in: 0...Int.max, using: &random)
            var coalescer = InputCoalescer(
                target: target, now: .random(in: 0...(.max), using: &random))
            coalescer.arrived(
                .random(in: 0...(.max), using: &random), at: .random(in: 0...(.max), using: &random)
            )
            let unsent = Int.random(in: 0...Int.max, using: &random)
            _ = coalescer.shouldWait(with: unsent)
            #expect(coalescer.wait(with: unsent) <= InputCoalescer.limit)
        }
    }
}

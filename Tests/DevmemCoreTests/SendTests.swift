import CDevmem
import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct SendCompletionTests {
    /// Builds a control message with an extended error: level, type, errno, origin, code, info,
    /// data.
    private func message(
        level: Int32 = 0, type: Int32 = 11, errno: UInt32 = 0, origin: UInt8 = 5, code: UInt8 = 0,
        info: UInt32 = 3, data: UInt32 = 9, length: Int = 32
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        bytes.store(UInt64(length), at: 0)
        bytes.store(level, at: 8)
        bytes.store(type, at: 12)
        bytes.store(errno, at: 16)
        bytes[20] = origin
        bytes[22] = code
        bytes.store(info, at: 24)
        bytes.store(data, at: 28)
        return bytes
    }

    private func read(_ bytes: [UInt8]) throws -> SendCompletion {
        try bytes.withUnsafeBytes { try SendCompletion(readingErrorQueue: $0.bytes) }
    }

    @Test func rangesAreRead() throws {
        #expect(try read(message()) == SendCompletion(first: 3, last: 9, isCopied: false))
        #expect(try read(message(level: 41, type: 25, code: 1)).isCopied)
        let wrapped = try read(message(info: .max, data: 1))
        #expect(wrapped.count == 3)
    }

    @Test func otherMessagesBeforeItAreSkipped() throws {
        var other = [UInt8](repeating: 0, count: 24)
        other.store(UInt64(20), at: 0)
        other.store(Int32(1), at: 8)
        #expect(try read(other + message()).first == 3)
    }

    @Test func hostileBytesAreRefused() {
        let good = message()
        for length in 0..<good.count {
            #expect(throws: DevmemError.self) { try read(Array(good[..<length])) }
        }
        for length in [0, 15, 16, 31, 33, Int.max] {
            #expect(throws: DevmemError.self) { try read(message(length: length)) }
        }
        #expect(throws: DevmemError.self) { try read(message(type: 10)) }
        #expect(throws: DevmemError.self) { try read(message(origin: 2)) }
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            _ = try? read(bytes)
        }
    }

    @Test func errorsOfTheConnectionAreReported() {
        #expect {
            try read(message(errno: 110))
        } throws: {
            ($0 as? DevmemError)?.errno == .timedOut
        }
    }
}

@Suite struct SendLedgerTests {
    private func range(_ first: UInt32, _ last: UInt32) -> SendCompletion {
        SendCompletion(first: first, last: last, isCopied: false)
    }

    @Test func memoryIsFreedInOrderOfTheStream() throws {
        var ledger = ZerocopyTracker()
        for end in [10, 30, 35, 100] as [UInt64] { ledger.sent(upTo: end) }
        try ledger.complete(range(1, 2))
        #expect(ledger.freed == 0)
        try ledger.complete(range(0, 0))
        #expect(ledger.freed == 35)
        #expect(ledger.outstanding == 1)
        try ledger.complete(range(3, 3))
        #expect(ledger.freed == 100 && ledger.outstanding == 0)
    }

    @Test func numbersWrap() throws {
        var ledger = ZerocopyTracker(firstNumber: .max - 1)
        for end in 1...5 as ClosedRange<UInt64> { ledger.sent(upTo: end) }
        try ledger.complete(range(.max, 1))
        #expect(ledger.freed == 0)
        try ledger.complete(range(.max - 1, .max - 1))
        #expect(ledger.freed == 4)
        try ledger.complete(range(2, 2))
        #expect(ledger.freed == 5)
    }

    @Test func whatWasNotSentIsRefused() throws {
        var ledger = ZerocopyTracker()
        #expect(throws: DevmemError.self) { try ledger.complete(range(0, 0)) }
        ledger.sent(upTo: 1)
        ledger.sent(upTo: 2)
        #expect(throws: DevmemError.self) { try ledger.complete(range(0, 2)) }
        #expect(throws: DevmemError.self) { try ledger.complete(range(1, 0)) }
        #expect(throws: DevmemError.self) { try ledger.complete(range(.max, 0)) }
        try ledger.complete(range(1, 1))
        #expect(throws: DevmemError.self) { try ledger.complete(range(1, 1)) }
        try ledger.complete(range(0, 0))
        #expect(throws: DevmemError.self) { try ledger.complete(range(0, 0)) }
        #expect(ledger.freed == 2)
    }

    @Test func anyOrderFreesEverythingOnce() throws {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            var ledger = ZerocopyTracker(
                firstNumber: UInt32.random(in: 0...UInt32.max, using: &random))
            var number = UInt32.random(in: 0...UInt32.max, using: &random)
            ledger = ZerocopyTracker(firstNumber: number)
            var end: UInt64 = 0
            var waiting: [UInt32] = []
            for _ in 0..<3_000 {
                if Bool.random(using: &random) || waiting.isEmpty {
                    end += UInt64.random(in: 1...9, using: &random)
                    ledger.sent(upTo: end)
                    waiting.append(number)
                    number &+= 1
                } else {
                    let index = Int.random(in: 0..<waiting.count, using: &random)
                    let done = waiting.remove(at: index)
                    try ledger.complete(range(done, done))
                }
            }
            waiting.shuffle(using: &random)
            for done in waiting { try ledger.complete(range(done, done)) }
            #expect(ledger.freed == end && ledger.outstanding == 0)
        }
    }
}

@Suite struct SendRingTests {
    @Test func aStreamGoesRoundTheRing() {
        var random = SeededGenerator(seed: 5)
        let capacity = 97
        var ring = SendRing(capacity: capacity)
        var memory = [UInt8](repeating: 0, count: capacity)
        var written: UInt64 = 0
        var read: UInt64 = 0
        for _ in 0..<20_000 {
            let place = ring.fillable(limit: Int.random(in: 1...60, using: &random))
            #expect(place.offset + place.count <= capacity)
            for index in place.offset..<place.offset + place.count {
                memory[index] = UInt8(truncatingIfNeeded: written)
                written += 1
            }
            ring.fill(place.count)
            let ranges = ring.sendable(limit: Int.random(in: 1...80, using: &random))
            // The kernel may accept less than it is offered.
            var taken = Int.random(
                in: 0...ranges.first.count + ranges.second.count, using: &random)
            ring.send(taken)
            for range in [ranges.first, ranges.second] {
                for index in range.offset..<range.offset + min(range.count, taken) {
                    #expect(memory[index] == UInt8(truncatingIfNeeded: read))
                    read += 1
                }
                taken -= min(range.count, taken)
            }
            ring.free(
                upTo: ring.sent - UInt64.random(in: 0...ring.sent - ring.freed, using: &random))
            #expect(ring.room >= 0 && ring.unsent >= 0)
        }
        #expect(read > 100_000)
    }

    @Test func aFullRingHasNoRoom() {
        var ring = SendRing(capacity: 8)
        ring.fill(8)
        #expect(ring.fillable(limit: 8).count == 0)
        ring.send(8)
        #expect(ring.room == 0)
        ring.free(upTo: 3)
        #expect(ring.fillable(limit: 8) == MemoryRange(offset: 0, count: 3))
    }
}

@Suite struct PatternSourceTests {
    @Test func aPatternIsWrittenFromAnyPosition() throws {
        let pattern = try Pattern("7")
        let block = PatternBlock(pattern)
        for position in [0, 1, 6, 7, 65_533, 1 << 40] as [UInt64] {
            var memory = [UInt8](repeating: 0, count: 200_000)
            memory.withUnsafeMutableBytes { block.copy(from: position, to: $0) }
            var checker = PatternChecker(pattern)
            // The checker starts at the beginning of the pattern, so advance it to the position
            // first.
            let lead = Array(
                (0..<Int(position % 7)).map { pattern.bytes[$0] })
            lead.withUnsafeBytes { checker.check($0) }
            memory.withUnsafeBytes { checker.check($0) }
            #expect(checker.wrongBytes == 0)
        }
    }
}

@Suite struct SendMemoryTests {
    @Test func theBindingIsNamed() throws {
        let control = ControlBuffer(naming: 0x1234_5678)
        let header = control.bytes.load(as: cdm_cmsghdr.self)
        #expect(header.cmsg_len == 20 && control.bytes.count == 24)
        #expect(header.cmsg_level == DevmemSocketNumber.level)
        #expect(header.cmsg_type == DevmemSocketNumber.dmabuf)
        #expect(control.bytes.load(fromByteOffset: 16, as: UInt32.self) == 0x1234_5678)
    }

    @Test(arguments: [0, UInt64.max]) func noMemoryIsNotSentFrom(size: UInt64) {
        let error = #expect(throws: DevmemError.self) { _ = try SendMemory(host: size) }
        #expect(error?.kind == .invalid)
    }

    @Test func countsBeginAtZero() {
        #expect(SendCounts.fields.allSatisfy { SendCounts()[keyPath: $0] == 0 })
        #expect(ReceiveCounts.fields.allSatisfy { ReceiveCounts()[keyPath: $0] == 0 })
    }
}

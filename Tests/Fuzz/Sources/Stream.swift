import Synchronization

@testable import DevmemCore

/// A pattern, prepared once: that takes longer than all comparisons of an input.
private struct PreparedPattern: Sendable {
    let pattern: Pattern
    let block: PatternBlock
    let checker: PatternChecker
}

private let prepared = Mutex<[Int: PreparedPattern]>([:])

private func prepare(_ period: Int) -> PreparedPattern? {
    prepared.withLock { patterns in
        if let known = patterns[period] { return known }
        guard let pattern = try? Pattern("\(period)") else { return nil }
        let made = PreparedPattern(
            pattern: pattern, block: PatternBlock(pattern), checker: PatternChecker(pattern))
        patterns[period] = made
        return made
    }
}

/// Payload that is compared with a pattern, in chunks of any size.
func fuzzStream(_ input: FuzzInput) {
    var input = input
    let period = Int(input.number(UInt8.self)) + 1
    guard let prepared = prepare(period) else { return }
    let pattern = prepared.pattern
    let flips = input.piece()
    // The first are long enough to go once round the block of a pattern.
    let sizes = input.bytes.prefix(64).enumerated().map { Int($1) * ($0 < 2 ? 300 : 5) }
    let total = sizes.reduce(0, +)
    var payload = [UInt8](repeating: 0, count: total)
    payload.withUnsafeMutableBytes { prepared.block.copy(from: 0, to: $0) }
    for (place, byte) in payload.enumerated() {
        require(byte == pattern.bytes[place % period], "byte \(place) is \(byte)")
    }
    checkFill(prepared, from: UInt64(flips.count) << 40 | UInt64(flips.first ?? 0), total)
    var wrong: Set<Int> = []
    for (number, flip) in flips.enumerated() where total > 0 {
        let place = (number * 977 + Int(flip) * 31) % total
        payload[place] = ~pattern.bytes[place % period]
        wrong.insert(place)
    }
    var checker = prepared.checker
    var done = 0
    for size in sizes {
        payload[done..<done + size].withUnsafeBytes { checker.check($0) }
        done += size
    }
    require(checker.checkedBytes == UInt64(total), "compared \(checker.checkedBytes) of \(total)")
    require(checker.wrongBytes == UInt64(wrong.count), "\(checker.wrongBytes) of \(wrong.count)")
    require(checker.firstMismatch?.offset == wrong.min().map { UInt64($0) }, "another place")
    checkRanges(sizes)
}

/// A stream is filled alike wherever it begins.
private func checkFill(_ prepared: PreparedPattern, from position: UInt64, _ count: Int) {
    var bytes = [UInt8](repeating: 0, count: min(count, 1000))
    bytes.withUnsafeMutableBytes { prepared.block.copy(from: position, to: $0) }
    for (place, byte) in bytes.enumerated() {
        let phase = Int((position + UInt64(place)) % UInt64(prepared.pattern.bytes.count))
        require(byte == prepared.pattern.bytes[phase], "byte \(position) + \(place)")
    }
}

/// Ranges that are joined, cut to parts and cut into chunks cover the same bytes.
private func checkRanges(_ sizes: [Int]) {
    var ranges: [MemoryRange] = []
    var end = 0
    for (number, size) in sizes.prefix(64).enumerated() {
        if number % 3 == 2 { end += size }
        ranges.append(MemoryRange(offset: end, count: size))
        end += size
    }
    let sum = ranges.reduce(0) { $0 + $1.count }
    let joined = MemoryRange.joined(ranges)
    require(joined.reduce(0) { $0 + $1.count } == sum, "joined ranges of another length")
    let parts = [0..<end / 2, end / 2..<end]
    let clipped = ranges.flatMap { range in parts.compactMap { range.clipped(to: $0) } }
    require(clipped.reduce(0) { $0 + $1.count } == sum, "clipped ranges of another length")
    for range in joined {
        let chunks = range.chunks(of: 100, atMost: .max)
        require(chunks.reduce(0) { $0 + $1.count } == range.count, "chunks of another length")
        require(MemoryRange.joined(chunks).first ?? range == range, "chunks elsewhere")
    }
}

import CDevmem
import Glibc

/// The measured costs of the parts of the data path that do not involve the kernel.
package struct NativeCosts: Codable, Equatable, Sendable {
    /// The version of the JSON form.
    package var version = 1
    /// Nanoseconds to parse one control message and record its payload and token.
    package var parseNanoseconds: Double
    /// Nanoseconds to add one token to a batch.
    package var tokenNanoseconds: Double
    /// Bytes per second compared with a pattern of period 7, in fragments of 4096 bytes.
    package var validationBytesPerSecond: Double
    /// Bytes per second compared by memcmp(3) with the same memory and block.
    package var memcmpBytesPerSecond: Double

    private enum CodingKeys: String, CodingKey {
        case version
        case parseNanoseconds = "parse_ns"
        case tokenNanoseconds = "token_ns"
        case validationBytesPerSecond = "validation_bytes_per_second"
        case memcmpBytesPerSecond = "memcmp_bytes_per_second"
    }

    /// Measures the costs. Each figure is the best of several rounds, to exclude interruptions.
    ///
    /// - Parameter rounds: the number of rounds, at least one.
    /// - Throws: `DevmemError` of kind `system` if memory cannot be allocated, `malformed` if
    ///   parsing or comparing gives a wrong result, which makes the figures meaningless.
    package init(rounds: Int = 20) throws(DevmemError) {
        let control = controlMessages()
        let memory = try Mapping(anonymous: comparedBytes)
        let pattern = try Pattern("7")
        let block = PatternBlock(pattern)
        memory.withUnsafeMutableBytes { block.copy(from: 0, to: $0) }
        var best = (parse: UInt64.max, tokens: UInt64.max, check: UInt64.max, memcmp: UInt64.max)
        for _ in 0..<max(rounds, 1) {
            best.parse = min(best.parse, try parse(control))
            best.tokens = min(best.tokens, try batchTokens())
            best.check = min(best.check, try check(memory, pattern))
            best.memcmp = min(best.memcmp, try compare(memory, with: block.bytes))
        }
        parseNanoseconds = Double(best.parse) / Double(parseRepeats * fragmentCount)
        tokenNanoseconds = Double(best.tokens) / Double(tokenRepeats * TokenBatch.maximumFragments)
        validationBytesPerSecond = Double(comparedBytes) / Double(best.check) * 1e9
        memcmpBytesPerSecond = Double(comparedBytes) / Double(best.memcmp) * 1e9
    }
}

private let fragmentCount = 1024
private let fragmentSize = 4096
private let parseRepeats = 50
private let tokenRepeats = 50
private let comparedBytes = 8 << 20

private func wrong(_ what: String) -> DevmemError {
    DevmemError(.malformed, call: "measure", message: what)
}

/// Returns the control messages of a typical call: scattered pages, consecutive tokens.
private func controlMessages() -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<fragmentCount {
        let header = cdm_cmsghdr(
            cmsg_len: numericCast(
                MemoryLayout<cdm_cmsghdr>.size + MemoryLayout<cdm_dmabuf_cmsg>.size),
            cmsg_level: DevmemSocketNumber.level, cmsg_type: DevmemSocketNumber.dmabuf)
        var fragment = cdm_dmabuf_cmsg()
        fragment.frag_offset = UInt64((index &* 37) % fragmentCount * fragmentSize)
        fragment.frag_size = UInt32(fragmentSize)
        fragment.frag_token = UInt32(index)
        fragment.dmabuf_id = 1
        withUnsafeBytes(of: header) { bytes += $0 }
        withUnsafeBytes(of: fragment) { bytes += $0 }
    }
    return bytes
}

private func parse(_ control: [UInt8]) throws(DevmemError) -> UInt64 {
    var extents = PayloadExtents(capacity: fragmentCount)
    var held: [TokenBatch.Range] = []
    held.reserveCapacity(fragmentCount)
    let start = monotonicTime()
    for _ in 0..<parseRepeats {
        extents.removeAll()
        held.removeAll(keepingCapacity: true)
        var parser = ControlMessageParser(
            dmabufID: 1, dmabufSize: UInt64(fragmentCount * fragmentSize))
        var run = TokenRun()
        while let fragment = try parser.next(in: control.span.bytes) {
            guard case .device(let offset, let length, let token) = fragment else { continue }
            extents.append(.device, offset: Int(offset), length: Int(length))
            if let ended = run.append(token) { held.append(ended) }
        }
        if let ended = run.end() { held.append(ended) }
        guard held == [TokenBatch.Range(start: 0, count: UInt32(fragmentCount))] else {
            throw wrong("\(held.count) token ranges")
        }
    }
    return monotonicTime() - start
}

private func batchTokens() throws(DevmemError) -> UInt64 {
    var batch = TokenBatch()
    let start = monotonicTime()
    for _ in 0..<tokenRepeats {
        batch.removeAll()
        for token in 0..<UInt32(TokenBatch.maximumFragments) where !batch.append(token) {
            throw wrong("token \(token) does not fit in the batch")
        }
    }
    let time = monotonicTime() - start
    guard batch.rangeCount == 1 else { throw wrong("\(batch.rangeCount) ranges") }
    return time
}

private func check(
    _ memory: borrowing Mapping, _ pattern: Pattern
) throws(DevmemError) -> UInt64 {
    var checker = PatternChecker(pattern)
    let start = monotonicTime()
    memory.withUnsafeBytes { bytes in
        for offset in stride(from: 0, to: bytes.count, by: fragmentSize) {
            checker.check(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + fragmentSize]))
        }
    }
    let time = monotonicTime() - start
    guard checker.wrongBytes == 0, checker.checkedBytes == UInt64(comparedBytes) else {
        throw wrong("\(checker.wrongBytes) wrong bytes")
    }
    return time
}

private func compare(
    _ memory: borrowing Mapping, with block: [UInt8]
) throws(DevmemError) -> UInt64 {
    var differing = 0
    let start = monotonicTime()
    memory.withUnsafeBytes { bytes in
        block.withUnsafeBytes { block in
            guard let found = bytes.baseAddress, let expected = block.baseAddress else { return }
            for offset in stride(from: 0, to: bytes.count, by: fragmentSize)
            where memcmp(found + offset, expected + offset % 7, fragmentSize) != 0 {
                differing += 1
            }
        }
    }
    let time = monotonicTime() - start
    guard differing == 0 else { throw wrong("\(differing) fragments differ") }
    return time
}

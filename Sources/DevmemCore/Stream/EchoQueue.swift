/// Bytes that came and are to go back, in order. Bounded by whoever fills it: one receive call's
/// worth, as nothing is received while it holds any.
struct EchoQueue: Sendable {
    private var bytes: [UInt8] = []
    private var start = 0

    var isEmpty: Bool { start == bytes.count }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        if isEmpty {
            bytes.removeAll(keepingCapacity: true)
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Moves as many as fit and returns how many.
    mutating func move(to memory: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(memory.count, bytes.count - start)
        memory.copyBytes(from: bytes[start..<start + count])
        start += count
        return count
    }
}

import DevmemCore
/// Sends a repeating pattern from memory that is filled once, so that sending is all that it costs.
/// Flows share the memory: none of them ever writes to it again.
struct BenchSender: ~Copyable {
    /// How a round of sends ended.
    enum Round: Equatable {
        /// There is more that may be sent now.
        case more
        /// The socket takes no more, or completions are waited for.
        case full
        /// What may be sent is sent.
        case satisfied
    }

    /// The pattern's period that `FarEndRequest` has, in pages: a whole number of both.
    private static let unit = FarEndRequest.period * 4096
    /// Bytes of memory that a thread sends from.
    static let memorySize = unit * 4

    private(set) var counts = BenchSendCounts()
    /// The position in the stream up to which this end may send; the last one for the end of it.
    var allowance: UInt64
    private var ledger = ZerocopyTracker()
    private let message: Int
    private let control = ReceiveControl()

    init(allowance: UInt64, message: Int) {
        self.allowance = allowance
        self.message = message
    }

    /// Fills memory with the pattern.
    static func fill(_ memory: borrowing SendMemory) throws(DevmemError) {
        let block = PatternBlock(try Pattern("\(FarEndRequest.period)"))
        try memory.withWritableBytes { block.copy(from: 0, to: $0) }
    }

    /// Sends that the kernel has not reported done.
    var outstanding: Int { ledger.outstanding }

    /// Sends a message, or what may be sent of one.
    mutating func send(
        _ memory: borrowing SendMemory, over connection: borrowing Connection
    ) throws(DevmemError) -> Round {
        guard counts.bytes < allowance else { return .satisfied }
        let count = Int(min(UInt64(message), allowance - counts.bytes))
        let offset = Int(counts.bytes % UInt64(Self.memorySize))
        let first = min(count, Self.memorySize - offset)
        // A message longer than the rest of the memory and all of it goes in several calls.
        let second = min(count - first, offset)
        let stretches = (
            first: SendRing.Stretch(offset: offset, count: first),
            second: SendRing.Stretch(offset: 0, count: second)
        )
        switch try memory.send(stretches, over: connection) {
        case .bytes(let taken):
            counts.bytes += UInt64(taken)
            counts.calls += 1
            if memory.isDevice { ledger.sent(upTo: counts.bytes) }
            return counts.bytes < allowance ? .more : .satisfied
        case .wouldBlock: return .full
        case .noBuffers:
            counts.bufferWaits += 1
            guard ledger.outstanding > 0 else {
                throw DevmemError(
                    .system, call: "send to \(connection.peer)", errno: .noBufferSpace,
                    advice: "sysctl net.core.optmem_max=1048576")
            }
            return .full
        }
    }

    /// Takes in which sends are done.
    ///
    /// - Returns: whether any was.
    mutating func collect(_ connection: borrowing Connection) throws(DevmemError) -> Bool {
        var found = false
        while let completion = try connection.completion(control: control.bytes) {
            found = true
            counts.completions += 1
            if completion.isCopied { counts.copiedSends += UInt64(completion.count) }
            try ledger.complete(completion)
        }
        return found
    }
}

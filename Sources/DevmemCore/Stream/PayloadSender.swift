import SystemPackage

/// Sends one connection's payload from memory: fills a ring ahead while sends are in flight, or names
/// ranges that hold payload already, and frees what the kernel no longer needs.
package struct PayloadSender: ~Copyable {
    /// Why a round of sends ended.
    package enum Step: Equatable {
        /// Everything at hand is sent, or waits to be coalesced with more.
        case sent
        /// The socket takes no more.
        case full
        /// Too many sends wait for their completion.
        case waitsForCompletion
    }

    /// What was sent.
    package private(set) var counts = SendCounts()
    private(set) var ring: SendRing
    private var tracker = ZerocopyTracker()
    private let chunk: Int
    private let piece: Int?
    private let control = ReceiveControl()
    private(set) var coalescer: InputCoalescer
    /// Whether the kernel reports when it is done with a send.
    private var usesZerocopy = false
    /// Whether what was coalesced has waited long enough.
    private var isDue = false
    /// Whether the source has come to its end.
    private(set) var inputEnded = false
    /// Whether the end of the stream is sent.
    private(set) var hasFinished = false

    /// Sends that the kernel has not yet reported done.
    package var outstandingSends: Int { tracker.outstanding }

    /// Makes a sender of one connection.
    ///
    /// - Parameters:
    ///   - source: where payload comes from.
    ///   - memory: bytes of the memory that is sent from.
    ///   - chunk: the most bytes that one send takes, and one look at the source brings.
    ///   - piece: the most bytes that a send names in one piece; nil for no bound.
    /// - Throws: `DevmemError` of kind `invalid` if the memory is too small for the source.
    package init<Source: PayloadSource & ~Copyable>(
        of source: borrowing Source, memory: Int, chunk: Int, piece: Int? = nil
    ) throws(DevmemError) {
        let capacity = source.ringCapacity(of: memory)
        guard capacity > 0 else {
            throw DevmemError(
                .invalid, call: "send a pattern", message: "the memory is smaller than one period")
        }
        ring = SendRing(capacity: capacity)
        self.chunk = min(chunk, capacity)
        self.piece = piece
        coalescer = InputCoalescer(target: source.coalescingTarget, now: monotonicTime())
    }

    /// Looks at the source once and sends what there is, without waiting. At the end of the source it
    /// ends the stream.
    ///
    /// - Parameters:
    ///   - connection: the same one in each call.
    ///   - source: where payload comes from.
    ///   - memory: what to send from.
    ///   - looks: whether the source is to be looked at, which may block if it is not at hand and its
    ///     descriptor cannot be read.
    /// - Returns: why no more is sent.
    /// - Throws: `DevmemError` of kind `system` if the connection fails, and what the source throws.
    package mutating func step<Source: PayloadSource & ~Copyable>(
        _ connection: borrowing Connection, from source: inout Source,
        in memory: borrowing SendMemory, looks: Bool = true
    ) throws(DevmemError) -> Step {
        if looks && wantsInput(isInPlace: source.isInPlace) { try fill(memory, &source) }
        let step = try send(connection, memory)
        if inputEnded && ring.unsent == 0 && !hasFinished {
            try connection.finishSending()
            hasFinished = true
        }
        return step
    }

    /// Whether a look at the source can bring anything that there is room for.
    func wantsInput(isInPlace: Bool) -> Bool {
        !inputEnded && (isInPlace ? ring.unsent == 0 : ring.room > 0)
    }

    /// Puts one look at the source into the ring.
    private mutating func fill<Source: PayloadSource & ~Copyable>(
        _ memory: borrowing SendMemory, _ source: inout Source
    ) throws(DevmemError) {
        let place = RingPlace(position: ring.filled, capacity: ring.capacity)
        let input: PayloadInput
        if source.isInPlace {
            input = try source.fill(UnsafeMutableRawBufferPointer(start: nil, count: 0), at: place)
        } else {
            let room = ring.fillable(limit: chunk)
            input = try memory.withWritableBytes { bytes throws(DevmemError) in
                try source.fill(
                    UnsafeMutableRawBufferPointer(
                        rebasing: bytes[room.offset..<room.offset + room.count]), at: place)
            }
            counts.inputCalls = source.calls
        }
        switch input {
        case .bytes(let count):
            ring.fill(count)
            if coalescer.isUsed { coalescer.arrived(count, at: monotonicTime()) }
        case .range(let extent):
            guard ring.name(extent) else {
                throw DevmemError(
                    .invalid, call: "send \(extent.count) bytes at offset \(extent.offset)",
                    message: "the memory has \(ring.capacity) bytes")
            }
        case .wouldBlock: break
        case .end: inputEnded = true
        }
    }

    /// Whether what is unsent had better wait for more.
    var isCoalescing: Bool {
        !isDue && !inputEnded && ring.room > 0 && coalescer.isWorthWaiting(with: ring.unsent)
    }

    /// Has the next step send what has waited for more.
    mutating func stopCoalescing() { isDue = true }

    /// Sends what there is.
    private mutating func send(
        _ connection: borrowing Connection, _ memory: borrowing SendMemory
    ) throws(DevmemError) -> Step {
        defer { isDue = false }
        while ring.unsent > 0 && !isCoalescing {
            switch try memory.send(
                ring.sendable(limit: chunk), inPiecesOf: piece, over: connection)
            {
            case .bytes(let count):
                ring.send(count)
                counts.sendCalls += 1
                counts.sentBytes += UInt64(count)
                if memory.isDevice {
                    usesZerocopy = true
                    tracker.sent(upTo: ring.sent)
                } else {
                    ring.free(upTo: ring.sent)
                }
            case .wouldBlock: return .full
            case .noBuffers:
                counts.bufferWaits += 1
                guard tracker.outstanding > 0 else {
                    throw DevmemError(
                        .system, call: "send to \(connection.peer)", errno: .noBufferSpace,
                        advice: "sysctl net.core.optmem_max=1048576")
                }
                return .waitsForCompletion
            }
        }
        return .sent
    }

    /// Reads the error queue: which sends are done.
    ///
    /// - Parameters:
    ///   - connection: the connection.
    ///   - source: is told what is free.
    /// - Throws: `DevmemError` of kind `malformed` if the kernel reports sends that were not made.
    package mutating func collect<Source: PayloadSource & ~Copyable>(
        _ connection: borrowing Connection, for source: inout Source
    ) throws(DevmemError) {
        guard usesZerocopy else { return }
        while let completion = try connection.completion(control: control.bytes) {
            counts.completions += 1
            if completion.isCopied { counts.copiedSends += UInt64(completion.count) }
            try tracker.complete(completion)
        }
        guard tracker.freed > ring.freed else { return }
        ring.free(upTo: tracker.freed)
        source.freed(upTo: ring.freed)
    }

    /// Whether the kernel needs none of the memory any more.
    var isFree: Bool { ring.freed == ring.filled }

    /// Counts what the peer has acknowledged so far.
    package mutating func countAcknowledged(_ connection: borrowing Connection) {
        guard let left = try? connection.unacknowledged() else { return }
        // The end of the stream is acknowledged last.
        let bytes = UInt64(max(0, hasFinished ? left - 1 : left))
        counts.acknowledgedBytes = counts.sentBytes - min(bytes, counts.sentBytes)
    }
}

import SystemPackage

/// Sends the payload of one connection. It fills a ring while sends are in flight, or sends ranges
/// that already hold payload, and frees memory as sends complete.
package struct PayloadSender: ~Copyable {
    /// Why a round of sends ended.
    package enum Step: Equatable {
        /// All available data is sent or being coalesced.
        case sent
        /// The send buffer is full.
        case full
        /// Too many sends await completion.
        case waitsForCompletion
    }

    /// The counts so far.
    package private(set) var counts = SendCounts()
    private(set) var ring: SendRing
    private var tracker = ZerocopyTracker()
    private let chunk: Int
    private let entrySize: Int?
    private let control = ReceiveControl()
    private(set) var coalescer: InputCoalescer
    /// Whether sends complete through the error queue.
    private var usesZerocopy = false
    /// Whether coalesced data has waited long enough.
    private var isDue = false
    /// Whether the source has ended.
    private(set) var inputEnded = false
    /// Whether the FIN is sent.
    package private(set) var hasFinished = false

    /// The number of sends whose completion is outstanding.
    package var outstandingSends: Int { tracker.outstanding }

    /// Creates a sender for one connection.
    ///
    /// - Parameters:
    ///   - source: the payload to send.
    ///   - memory: the size of the memory to send from, in bytes.
    ///   - chunk: the most bytes that one send, or one read of the source, handles.
    ///   - entrySize: the most bytes in one iovec entry; nil for no limit.
    /// - Throws: `DevmemError` of kind `invalid` if the memory is too small for the source.
    package init<Source: PayloadSource & ~Copyable>(
        of source: borrowing Source, memory: Int, chunk: Int, entrySize: Int? = nil
    ) throws(DevmemError) {
        let capacity = source.ringCapacity(of: memory)
        guard capacity > 0 else {
            throw DevmemError(
                .invalid, call: "send a pattern", message: "the memory is smaller than one period")
        }
        ring = SendRing(capacity: capacity)
        self.chunk = min(chunk, capacity)
        self.entrySize = entrySize
        coalescer = InputCoalescer(target: source.coalescingTarget, now: monotonicTime())
    }

    /// Reads the source once and sends what is available, without blocking. Sends a FIN when the
    /// source ends.
    ///
    /// - Parameters:
    ///   - connection: the connection; the same in each call.
    ///   - source: the payload to send.
    ///   - memory: the memory to send from.
    ///   - looks: whether to read the source, which may block unless it has input.
    /// - Returns: why the round ended.
    /// - Throws: `DevmemError` of kind `system` if the connection fails, or an error of the source.
    package mutating func step<Source: PayloadSource & ~Copyable>(
        _ connection: borrowing Connection, from source: inout Source,
        in memory: borrowing SendMemory, looks: Bool = true
    ) throws(DevmemError) -> Step {
        if looks && needsInput(isInPlace: source.isInPlace) { try fill(memory, &source) }
        let step = try send(connection, memory, &source)
        if inputEnded && ring.unsent == 0 { try finish(connection) }
        return step
    }

    /// Ends the stream; further calls do nothing.
    ///
    /// - Throws: `DevmemError` of kind `system` if the connection failed.
    package mutating func finish(_ connection: borrowing Connection) throws(DevmemError) {
        guard !hasFinished else { return }
        try connection.finishSending()
        hasFinished = true
    }

    /// Returns whether the source may have input and there is room for it.
    func needsInput(isInPlace: Bool) -> Bool {
        !inputEnded && (isInPlace ? ring.unsent == 0 : ring.room > 0)
    }

    /// Reads the source once into the ring.
    private mutating func fill<Source: PayloadSource & ~Copyable>(
        _ memory: borrowing SendMemory, _ source: inout Source
    ) throws(DevmemError) {
        let place = RingPosition(position: ring.filled, capacity: ring.capacity)
        let input: PayloadInput
        var offered = 0
        if source.isInPlace {
            input = try source.fill(UnsafeMutableRawBufferPointer(start: nil, count: 0), at: place)
        } else {
            let room = ring.fillable(limit: chunk)
            offered = room.count
            input = try memory.withWritableBytes(in: room, written: \.count) {
                bytes throws(DevmemError) in
                try source.fill(bytes, at: place)
            }
            if source.inputDescriptor != nil { counts.inputCalls += 1 }
        }
        switch input {
        case .bytes(let count):
            guard (0...offered).contains(count) else {
                throw DevmemError(
                    .invalid, call: "fill memory to send",
                    message: "the source wrote \(count) bytes where \(offered) were offered")
            }
            ring.fill(count)
            if coalescer.isUsed { coalescer.arrived(count, at: monotonicTime()) }
        case .range(let extent):
            guard source.isInPlace, ring.fillInPlace(extent) else {
                throw DevmemError(
                    .invalid, call: "send \(extent.count) bytes at offset \(extent.offset)",
                    message: source.isInPlace
                        ? "the memory has \(ring.capacity) bytes"
                        : "the source was asked to write payload, not to name it")
            }
        case .wouldBlock: break
        case .end: inputEnded = true
        }
    }

    /// Whether unsent data waits for more.
    var isCoalescing: Bool {
        !isDue && !inputEnded && ring.room > 0 && coalescer.shouldWait(with: ring.unsent)
    }

    /// Makes the next step send coalesced data.
    mutating func flushCoalesced() { isDue = true }

    /// Sends unsent data until the socket is full.
    private mutating func send<Source: PayloadSource & ~Copyable>(
        _ connection: borrowing Connection, _ memory: borrowing SendMemory,
        _ source: inout Source
    ) throws(DevmemError) -> Step {
        defer { isDue = false }
        while ring.unsent > 0 && !isCoalescing {
            switch try memory.send(
                ring.sendable(limit: chunk), inEntriesOf: entrySize, over: connection)
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
                    source.freed(upTo: ring.freed)
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

    /// Reads completions from the error queue.
    ///
    /// - Parameters:
    ///   - connection: the connection.
    ///   - source: notified of the memory that is free again.
    /// - Throws: `DevmemError` of kind `malformed` if the kernel reports unknown sends, `system` if
    ///   the error queue cannot be read.
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

    /// Whether the kernel uses none of the memory.
    var isFree: Bool { ring.freed == ring.filled }

    /// Updates the number of bytes that the peer has acknowledged.
    package mutating func countAcknowledged(_ connection: borrowing Connection) {
        guard let left = try? connection.unacknowledged() else { return }
        // The FIN is acknowledged last.
        let bytes = UInt64(max(0, hasFinished ? left - 1 : left))
        counts.acknowledgedBytes = counts.sentBytes - min(bytes, counts.sentBytes)
    }
}

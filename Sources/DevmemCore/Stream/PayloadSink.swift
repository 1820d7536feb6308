/// How much of received payload a sink looks at.
package enum PayloadNeeds: Int, Comparable, Sendable {
    /// None of it: the sink is not called, and payload goes back to the NIC at once.
    case nothing
    /// Where it lies, as a program that hands ranges of the dma-buf to a GPU.
    case extents
    /// Its bytes, which opens the dma-buf to the CPU for each call.
    case bytes

    package static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
}

/// What receives the payload of one stream, in stream order. The engine that receives calls it, one call
/// after another, in the thread that runs the engine.
package protocol PayloadSink: ~Copyable, SendableMetatype {
    /// How much of payload it looks at.
    var needs: PayloadNeeds { get }

    /// Called once, before the first payload.
    ///
    /// - Throws: `DevmemError` if payload cannot be received after all.
    mutating func begin() throws(DevmemError)

    /// Receives what one call of the engine brought. Device memory goes back to the NIC when this
    /// returns, unless the sink keeps it.
    ///
    /// - Parameters:
    ///   - payload: what came.
    ///   - stop: signals that end a wait of the sink's.
    /// - Returns: the signal that cut it short; nil if all is received.
    /// - Throws: `DevmemError` if payload cannot be received; it ends the stream.
    mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32?

    /// Called at the end of the stream, and once more when the connection ends for whatever reason.
    ///
    /// - Throws: `DevmemError` if what was held back cannot be written.
    mutating func finish() throws(DevmemError)

    /// Puts what was received on the disk, which may take long. Nothing may follow.
    ///
    /// - Throws: `DevmemError` if it could not be stored.
    mutating func store() throws(DevmemError)

    /// Undoes what making the sink did, for a session in which nothing could be received.
    mutating func abandon()

    /// What the sink found out about the stream so far.
    var findings: SinkFindings { get }
}

/// What a sink finds out about a stream, for the session's report.
package struct SinkFindings: Equatable, Sendable {
    /// How payload compares with a pattern; nil if it is not compared.
    package var validation: PatternComparison?
    /// Bytes that went to a file without being copied; nil if none were to.
    package var directBytes: UInt64?

    /// Findings of nothing.
    package init(validation: PatternComparison? = nil, directBytes: UInt64? = nil) {
        self.validation = validation
        self.directBytes = directBytes
    }
}

extension PayloadSink where Self: ~Copyable {
    package mutating func begin() throws(DevmemError) {}
    package mutating func finish() throws(DevmemError) {}
    package mutating func store() throws(DevmemError) {}
    package mutating func abandon() {}
    package var findings: SinkFindings { SinkFindings() }
}

/// Discards payload without looking at it.
package struct DiscardingSink: PayloadSink {
    package var needs: PayloadNeeds { .nothing }

    /// Makes a sink.
    package init() {}

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? { nil }
}

/// Hands payload to a closure.
package struct PayloadHandler: PayloadSink {
    package let needs: PayloadNeeds
    private let body: (inout ReceivedPayload) throws(DevmemError) -> Void

    /// Makes a sink.
    ///
    /// - Parameters:
    ///   - needs: how much of payload the closure looks at.
    ///   - body: called with what each receive call brought.
    package init(
        needing needs: PayloadNeeds,
        _ body: @escaping (inout ReceivedPayload) throws(DevmemError) -> Void
    ) {
        self.needs = needs
        self.body = body
    }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try body(&payload)
        return nil
    }
}

/// Two sinks of one stream, called one after the other.
package struct SinkPair<First: PayloadSink & ~Copyable, Second: PayloadSink & ~Copyable>:
    PayloadSink, ~Copyable
{
    package var first: First
    package var second: Second

    /// Makes a pair.
    package init(_ first: consuming First, _ second: consuming Second) {
        self.first = first
        self.second = second
    }

    /// Takes the pair apart.
    consuming func intoSecond() -> Second { second }

    package var needs: PayloadNeeds { max(first.needs, second.needs) }

    package mutating func begin() throws(DevmemError) {
        try first.begin()
        try second.begin()
    }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        if first.needs != .nothing, let signal = try first.receive(&payload, until: stop) {
            return signal
        }
        guard second.needs != .nothing else { return nil }
        return try second.receive(&payload, until: stop)
    }

    package mutating func finish() throws(DevmemError) {
        try first.finish()
        try second.finish()
    }

    package mutating func store() throws(DevmemError) {
        try first.store()
        try second.store()
    }

    package mutating func abandon() {
        first.abandon()
        second.abandon()
    }

    package var findings: SinkFindings {
        let (one, other) = (first.findings, second.findings)
        return SinkFindings(
            validation: one.validation ?? other.validation,
            directBytes: one.directBytes ?? other.directBytes)
    }
}

/// A sink that there may be; without one payload is discarded.
extension Optional: PayloadSink where Wrapped: PayloadSink & ~Copyable {
    package var needs: PayloadNeeds {
        switch self {
        case .some(let sink): sink.needs
        case .none: .nothing
        }
    }

    package mutating func begin() throws(DevmemError) { try self?.begin() }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try self?.receive(&payload, until: stop) ?? nil
    }

    package mutating func finish() throws(DevmemError) { try self?.finish() }

    package mutating func store() throws(DevmemError) { try self?.store() }

    package mutating func abandon() { self?.abandon() }

    package var findings: SinkFindings {
        switch self {
        case .some(let sink): sink.findings
        case .none: SinkFindings()
        }
    }
}

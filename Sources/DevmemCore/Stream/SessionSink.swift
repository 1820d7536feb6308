/// A sink that a session makes, and that has something to report at the end.
package protocol SessionSink: PayloadSink, ~Copyable {
    /// Called once, before the first payload.
    ///
    /// - Throws: `DevmemError` if payload cannot be received after all.
    mutating func begin() throws(DevmemError)

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

extension SessionSink where Self: ~Copyable {
    package mutating func begin() throws(DevmemError) {}
    package mutating func store() throws(DevmemError) {}
    package mutating func abandon() {}
    package var findings: SinkFindings { SinkFindings() }
}

extension DiscardingSink: SessionSink {}

/// Two sinks of one stream, called one after the other.
package struct SinkPair<First: SessionSink & ~Copyable, Second: SessionSink & ~Copyable>:
    SessionSink, ~Copyable
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
package struct OptionalSink<Wrapped: SessionSink & ~Copyable>: SessionSink, ~Copyable {
    private var sink: Wrapped?

    /// Wraps a sink, or none.
    package init(_ sink: consuming Wrapped?) {
        self.sink = sink
    }

    package var needs: PayloadNeeds {
        switch sink {
        case .some(let sink): sink.needs
        case .none: .nothing
        }
    }

    package mutating func begin() throws(DevmemError) { try sink?.begin() }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try sink?.receive(&payload, until: stop) ?? nil
    }

    package mutating func finish() throws(DevmemError) { try sink?.finish() }

    package mutating func store() throws(DevmemError) { try sink?.store() }

    package mutating func abandon() { sink?.abandon() }

    package var findings: SinkFindings {
        switch sink {
        case .some(let sink): sink.findings
        case .none: SinkFindings()
        }
    }
}

/// A sink created by a session, with findings for the report.
package protocol SessionSink: PayloadSink, ~Copyable {
    /// Prepares for the first payload; called once.
    ///
    /// - Throws: `DevmemError` if the sink cannot receive after all.
    mutating func begin() throws(DevmemError)

    /// Writes the output to the disk, which may take long; called last.
    ///
    /// - Throws: `DevmemError` if the output cannot be stored.
    mutating func store() throws(DevmemError)

    /// Undoes the sink's creation, for a session that received nothing.
    mutating func abandon()

    /// The findings so far.
    var findings: SinkFindings { get }
}

/// What a sink found out about a stream, for the session's report.
package struct SinkFindings: Equatable, Sendable {
    /// The result of comparing payload with a pattern; nil if it was not compared.
    package var validation: PatternComparison?
    /// The number of bytes written to a file without a copy; nil if that was not requested.
    package var directBytes: UInt64?

    /// Creates findings; without arguments, empty ones.
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

/// Passes a stream to two sinks, one after the other.
package struct SinkPair<First: SessionSink & ~Copyable, Second: SessionSink & ~Copyable>:
    SessionSink, ~Copyable
{
    package var first: First
    package var second: Second

    /// Creates a pair.
    package init(_ first: consuming First, _ second: consuming Second) {
        self.first = first
        self.second = second
    }

    /// Consumes the pair and returns the second sink.
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
        // The second sink's output must not suffer from the first one's failure.
        do throws(DevmemError) {
            try first.finish()
        } catch {
            try? second.finish()
            throw error
        }
        try second.finish()
    }

    package mutating func store() throws(DevmemError) {
        do throws(DevmemError) {
            try first.store()
        } catch {
            try? second.store()
            throw error
        }
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

/// An optional sink; without one payload is discarded.
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

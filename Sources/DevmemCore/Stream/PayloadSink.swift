/// How much of received payload a sink looks at.
public enum PayloadNeeds: Int, Comparable, Sendable {
    /// None of it: the sink is not called, and payload goes back to the NIC at once.
    case nothing
    /// Where it lies, as a program that hands ranges of the dma-buf to a GPU.
    case extents
    /// Its bytes, which opens the dma-buf to the CPU for each call.
    case bytes

    /// Whether one sink looks at less than another.
    public static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
}

/// What receives the payload of one stream, in stream order. The engine that receives calls it, one call
/// after another, in the thread that runs the engine.
public protocol PayloadSink: ~Copyable, SendableMetatype {
    /// How much of payload it looks at.
    var needs: PayloadNeeds { get }

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
}

extension PayloadSink where Self: ~Copyable {
    /// Does nothing.
    public mutating func finish() throws(DevmemError) {}
}

/// Discards payload without looking at it.
public struct DiscardingSink: PayloadSink, Sendable {
    /// How much of payload it looks at.
    public var needs: PayloadNeeds { .nothing }

    /// Makes a sink.
    public init() {}

    /// Receives what one call of the engine brought.
    public mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? { nil }
}

/// Hands payload to a closure.
public struct PayloadHandler: PayloadSink {
    /// How much of payload it looks at.
    public let needs: PayloadNeeds
    private let body: (inout ReceivedPayload) throws(DevmemError) -> Void

    /// Makes a sink.
    ///
    /// - Parameters:
    ///   - needs: how much of payload the closure looks at.
    ///   - body: called with what each receive call brought.
    public init(
        needing needs: PayloadNeeds,
        _ body: @escaping (inout ReceivedPayload) throws(DevmemError) -> Void
    ) {
        self.needs = needs
        self.body = body
    }

    /// Receives what one call of the engine brought.
    public mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try body(&payload)
        return nil
    }
}

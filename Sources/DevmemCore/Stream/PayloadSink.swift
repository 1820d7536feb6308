/// The access to received payload that a sink needs.
public enum PayloadNeeds: Int, Comparable, Sendable {
    /// None: the sink is not called, and memory returns to the NIC at once.
    case nothing
    /// The location, for programs that pass ranges of the dma-buf to a GPU.
    case extents
    /// The bytes; each call begins and ends CPU access to the dma-buf.
    case bytes

    /// Returns whether one level is lower than another.
    public static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
}

/// Receives the payload of one stream in order. A `PayloadReceiver` calls it, always on the thread
/// that runs the receiver.
public protocol PayloadSink: ~Copyable, SendableMetatype {
    /// The access that the sink needs; read once for each stream.
    var needs: PayloadNeeds { get }

    /// Handles the payload of one receive call. Device memory returns to the NIC when this method
    /// returns, unless the sink keeps it.
    ///
    /// - Parameters:
    ///   - payload: the payload.
    ///   - stop: the signals that end a wait in this method.
    /// - Returns: the signal that ended the call early; nil if all payload is handled.
    /// - Throws: `DevmemError` if the payload cannot be handled; this ends the stream.
    mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32?

    /// Completes the output. Called at the end of the stream, and again when the connection ends
    /// for any reason.
    ///
    /// - Throws: `DevmemError` if buffered data cannot be written.
    mutating func finish() throws(DevmemError)
}

extension PayloadSink where Self: ~Copyable {
    /// Does nothing.
    public mutating func finish() throws(DevmemError) {}
}

/// Discards payload without access to it.
public struct DiscardingSink: PayloadSink, Sendable {
    /// The access that the sink needs.
    public var needs: PayloadNeeds { .nothing }

    // An empty value has no address, and the thread sanitizer reads what is passed as one.
    private let isThere = true

    /// Creates a sink.
    public init() {}

    /// Discards the payload of one receive call.
    public mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? { nil }
}

/// Passes payload to a closure.
public struct PayloadHandler: PayloadSink {
    /// The access that the closure needs.
    public let needs: PayloadNeeds
    private let body: (inout ReceivedPayload) throws(DevmemError) -> Void

    /// Creates a sink.
    ///
    /// - Parameters:
    ///   - needs: the access that the closure needs.
    ///   - body: called with the payload of each receive call.
    public init(
        needing needs: PayloadNeeds,
        _ body: @escaping (inout ReceivedPayload) throws(DevmemError) -> Void
    ) {
        self.needs = needs
        self.body = body
    }

    /// Passes the payload of one receive call to the closure.
    public mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try body(&payload)
        return nil
    }
}

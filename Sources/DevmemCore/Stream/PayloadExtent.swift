/// A range of payload that lies in one place.
public struct PayloadExtent: Equatable, Sendable {
    /// Where an extent lies.
    public enum Source: Sendable {
        /// In the dma-buf.
        case device
        /// In the buffer handed to recvmsg.
        case host
    }

    /// Where it lies.
    public var source: Source
    /// Bytes from the start of the dma-buf or of the receive buffer.
    public var offset: Int
    /// Bytes.
    public var length: Int
}

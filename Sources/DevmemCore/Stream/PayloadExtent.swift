/// A contiguous range of payload in one kind of memory.
public struct PayloadExtent: Equatable, Sendable {
    /// The memory that holds an extent.
    public enum Source: Sendable {
        /// The dma-buf.
        case device
        /// The buffer passed to recvmsg(2).
        case host
    }

    /// The memory that holds the extent.
    public var source: Source
    /// The offset in bytes from the start of the dma-buf or of the receive buffer.
    public var offset: Int
    /// The length in bytes.
    public var length: Int
}

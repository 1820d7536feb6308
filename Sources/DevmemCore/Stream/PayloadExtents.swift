/// Stretches of payload in stream order, as places in the dma-buf and in the receive buffer.
/// Pure; makes no allocation once it has its capacity.
package struct PayloadExtents: Sendable {
    /// Where a stretch lies.
    package enum Source: Sendable {
        /// In the dma-buf.
        case device
        /// In the buffer handed to recvmsg.
        case host
    }

    /// One stretch.
    struct Extent: Equatable, Sendable {
        var source: Source
        var offset: Int
        var length: Int
    }

    private(set) var extents: [Extent] = []

    /// - Parameter capacity: the most stretches that one receive call can bring.
    package init(capacity: Int) {
        extents.reserveCapacity(capacity)
    }

    var hasDeviceBytes: Bool { extents.contains { $0.source == .device } }

    /// Adds a stretch, to the last one if it continues it.
    package mutating func append(_ source: Source, offset: Int, length: Int) {
        guard length > 0 else { return }
        if let last = extents.last, last.source == source, last.offset + last.length == offset {
            extents[extents.count - 1].length += length
        } else {
            extents.append(Extent(source: source, offset: offset, length: length))
        }
    }

    package mutating func removeAll() {
        extents.removeAll(keepingCapacity: true)
    }
}

/// Where the dma-bufs come from that a NIC receives into and sends from.
public enum MemoryProvider: Hashable, Sendable, CustomStringConvertible {
    /// The dma-heap `system` if it is usable and no huge pages are requested, otherwise udmabuf. A
    /// heap's buffer consists of a few large blocks, udmabuf's of single pages. The kernel searches
    /// a binding's blocks for each fragment that is returned (`gen_pool_free_owner` of
    /// lib/genalloc.c), and udmabuf's pages whenever the CPU is to access them. On the other hand,
    /// direct I/O works with udmabuf's memory and not with a heap's.
    case automatic
    /// The udmabuf driver: pages of this process.
    case udmabuf
    /// A dma-heap, by the name of its node in /dev/dma_heap, such as `system`.
    case heap(String)

    /// Parses `auto`, `udmabuf` or `heap:NAME`; nil for anything else.
    package init?(_ text: String) {
        if text == "auto" {
            self = .automatic
        } else if text == "udmabuf" {
            self = .udmabuf
        } else if text.hasPrefix("heap:"), text.count > 5, !text.contains("/") {
            self = .heap(String(text.dropFirst(5)))
        } else {
            return nil
        }
    }

    /// `auto`, `udmabuf` or `heap:NAME`.
    public var description: String {
        switch self {
        case .automatic: "auto"
        case .udmabuf: "udmabuf"
        case .heap(let name): "heap:\(name)"
        }
    }
}

extension MemoryProvider {
    /// What makes the dma-bufs.
    ///
    /// - Parameter hugePages: whether huge pages are needed.
    /// - Returns: the maker.
    func maker(hugePages: Bool) -> any DmabufMaker {
        switch self {
        case .automatic where !hugePages && DmaHeap.isUsable(DmaHeap.system):
            DmaHeap(name: DmaHeap.system)
        case .automatic, .udmabuf: Udmabuf()
        case .heap(let name): DmaHeap(name: name)
        }
    }
}

/// What makes dma-bufs of one kind of memory.
protocol DmabufMaker: Sendable {
    /// Makes a dma-buf.
    ///
    /// - Parameter request: what it shall be.
    /// - Returns: the dma-buf, with one part.
    /// - Throws: `DevmemError` of kind `invalid` for an impossible size, `system` if the memory is not
    ///   available; the message states the limits.
    func make(_ request: DmabufRequest) throws(DevmemError) -> DmabufMemory
}

/// What a dma-buf shall be.
struct DmabufRequest: Equatable, Sendable {
    /// Bytes.
    let size: UInt64
    /// Whether it takes huge pages, which large buffers of the NIC need.
    let hugePages: Bool
}

/// Copies between the memory of a device that the CPU cannot map and host memory, which has the same
/// offsets. An object holds the device's memory.
protocol DeviceCopies: AnyObject, Sendable {
    /// Copies out of the device, and waits until that is done.
    ///
    /// - Parameters:
    ///   - ranges: what to copy.
    ///   - host: as many bytes as the device's memory has.
    /// - Throws: `DevmemError` of kind `system` or `unsupported` if the device refuses.
    func copyOut(
        _ ranges: [MemoryRange], to host: UnsafeMutableRawBufferPointer
    ) throws(DevmemError)

    /// Copies into the device, and waits until that is done.
    ///
    /// - Parameters:
    ///   - range: what to copy.
    ///   - host: as many bytes as the device's memory has.
    /// - Throws: `DevmemError` of kind `system` or `unsupported` if the device refuses.
    func copyIn(_ range: MemoryRange, from host: UnsafeRawBufferPointer) throws(DevmemError)
}

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
    /// The udmabuf driver: huge pages of a size in bytes, 2 MiB or 1 GiB on most machines.
    case hugePages(UInt64)
    /// A dma-heap, by the name of its node in /dev/dma_heap, such as `system`.
    case heap(String)
    /// A dma-buf that another program made, by its descriptor in this process, which stays open. It
    /// has a size of its own.
    case descriptor(Int32)
    /// A dma-buf that another program made and sends to whoever connects to its unix socket. It has
    /// a size of its own.
    case socket(String)

    /// Parses `auto`, `udmabuf`, `udmabuf:SIZE`, `heap:NAME`, `fd:N` or `unix:PATH`; nil for
    /// anything else.
    package init?(_ text: String) {
        if text == "auto" {
            self = .automatic
        } else if text == "udmabuf" {
            self = .udmabuf
        } else {
            guard let colon = text.firstIndex(of: ":") else { return nil }
            let rest = text[text.index(after: colon)...]
            switch text[..<colon] {
            case "udmabuf":
                guard let size = try? ByteCount.read(String(rest)), size > 4096,
                    size & (size - 1) == 0
                else { return nil }
                self = .hugePages(size)
            case "heap" where !rest.isEmpty && !rest.contains("/"): self = .heap(String(rest))
            case "fd":
                guard let number = Int32(rest), number >= 0 else { return nil }
                self = .descriptor(number)
            case "unix" where rest.hasPrefix("/") || rest.hasPrefix("@"):
                guard UnixAddress(String(rest)) != nil else { return nil }
                self = .socket(String(rest))
            default: return nil
            }
        }
    }

    /// The text that is parsed.
    public var description: String {
        switch self {
        case .automatic: "auto"
        case .udmabuf: "udmabuf"
        case .hugePages(let size): "udmabuf:\(ByteCount.exact(size))"
        case .heap(let name): "heap:\(name)"
        case .descriptor(let number): "fd:\(number)"
        case .socket(let path): "unix:\(path)"
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
        case .automatic, .udmabuf: Udmabuf(pageSize: hugePages ? Udmabuf.hugePageSize : nil)
        case .hugePages(let size): Udmabuf(pageSize: size)
        case .heap(let name): DmaHeap(name: name)
        case .descriptor(let number): ForeignDmabuf(origin: .descriptor(number))
        case .socket(let path): ForeignDmabuf(origin: .socket(path))
        }
    }

    /// Whether it is one dma-buf, of a size of its own.
    var isOneOfItsSize: Bool {
        switch self {
        case .descriptor, .socket: true
        case .automatic, .udmabuf, .hugePages, .heap: false
        }
    }

    /// The size in bytes that the memory is a multiple of.
    ///
    /// - Parameter hugePages: whether huge pages are needed.
    /// - Returns: the size.
    func pageSize(hugePages: Bool) -> UInt64 {
        if case .hugePages(let size) = self { return size }
        return hugePages ? Udmabuf.hugePageSize : UInt64(systemPageSize)
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
    /// Bytes; does not count for a dma-buf that has a size of its own.
    let size: UInt64
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

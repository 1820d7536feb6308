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
    /// Memory of an NVIDIA GPU, by the CUDA driver. The CPU accesses it by copies. Its size is
    /// rounded up to 2 MiB.
    case cuda(GPUChoice)
    /// The same of an AMD GPU, by the HIP runtime. It has not been tested on hardware.
    case rocm(GPUChoice)

    /// Parses `auto`, `udmabuf`, `udmabuf:SIZE`, `heap:NAME`, `fd:N`, `unix:PATH`, `cuda`,
    /// `cuda:GPU`, `rocm` or `rocm:GPU`, with a GPU as `GPUChoice` reads it; nil for anything else.
    package init?(_ text: String) {
        if text == "auto" {
            self = .automatic
        } else if text == "udmabuf" {
            self = .udmabuf
        } else if text == "cuda" {
            self = .cuda(.nearest)
        } else if text == "rocm" {
            self = .rocm(.nearest)
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
            case "cuda":
                guard let choice = GPUChoice(String(rest)) else { return nil }
                self = .cuda(choice)
            case "rocm":
                guard let choice = GPUChoice(String(rest)) else { return nil }
                self = .rocm(choice)
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
        case .cuda(.nearest): "cuda"
        case .cuda(let choice): "cuda:\(choice)"
        case .rocm(.nearest): "rocm"
        case .rocm(let choice): "rocm:\(choice)"
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
        case .cuda(let choice): CUDAMemoryMaker(choice: choice)
        case .rocm(let choice): ROCmMemoryMaker(choice: choice)
        }
    }

    /// Where further memory comes from, which is not the same: another program's dma-buf is only one.
    package var forMore: MemoryProvider { isOneOfItsSize ? .automatic : self }

    /// Whether it is one dma-buf, of a size of its own.
    package var isOneOfItsSize: Bool {
        switch self {
        case .descriptor, .socket: true
        case .automatic, .udmabuf, .hugePages, .heap, .cuda, .rocm: false
        }
    }

    /// The size in bytes that the memory is a multiple of.
    ///
    /// - Parameter hugePages: whether huge pages are needed.
    /// - Returns: the size.
    func pageSize(hugePages: Bool) -> UInt64 {
        switch self {
        case .hugePages(let size): size
        case .cuda, .rocm: GPU.pageSize
        case .automatic, .udmabuf, .heap, .descriptor, .socket:
            hugePages ? Udmabuf.hugePageSize : UInt64(systemPageSize)
        }
    }
}

extension MemoryProvider {
    /// Returns a size in bytes rounded up to whole pages of this memory.
    func wholePages(_ size: UInt64) -> UInt64 {
        DmabufMemory.size(size, parts: 1, page: pageSize(hugePages: false))
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
    /// The NIC that uses it, if it is known.
    var interface: NetworkInterface?
}

/// Copies between the memory of a device that the CPU cannot map and host memory, which has the same
/// offsets. An object holds the device's memory.
protocol DeviceCopies: AnyObject, Sendable {
    /// Prepares host memory that will be copied to and from often.
    ///
    /// - Parameter host: as many bytes as the device's memory has; they stay until `end` is called.
    /// - Returns: what ends that; nil if there is nothing to end.
    func prepare(_ host: UnsafeMutableRawBufferPointer) -> (any PreparedHostMemory)?

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

    /// Returns what compares and fills the memory where it is.
    ///
    /// - Parameter bytes: one period of the pattern that it is for; it takes others as well.
    /// - Returns: nil if there is nothing, or if it was refused before.
    /// - Throws: why the device refuses it, once.
    func patterns(with bytes: [UInt8]) throws(DevmemError) -> (any DevicePatterns)?
}

extension DeviceCopies {
    /// Returns nil: there is nothing.
    func patterns(with bytes: [UInt8]) throws(DevmemError) -> (any DevicePatterns)? { nil }

    /// Prepares nothing.
    func prepare(_ host: UnsafeMutableRawBufferPointer) -> (any PreparedHostMemory)? { nil }
}

/// Host memory that a device is prepared to copy to and from.
protocol PreparedHostMemory: Sendable {
    /// Ends the preparation; called once, while the memory still exists.
    func end()
}

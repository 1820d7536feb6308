import SystemPackage

/// The size of the buffers that a NIC fills.
package enum PageSizeChoice: Equatable, Sendable {
    /// One page.
    case onePage
    /// A size in bytes, a power of two; more than a page needs huge pages, or blocks of a heap.
    case bytes(UInt32)
    /// The largest that is likely to work, or one page.
    case automatic

    /// The sizes in bytes that `automatic` tries, the largest first: a packet of GRO has 64 KiB.
    private static let large: [UInt32] = [65536, 32768, 16384]

    /// Returns whether an error may be due to the size: the kernel, the driver or the provider does
    /// not support it, or there is not enough contiguous memory. Pure.
    static func isRefusal(_ error: DevmemError) -> Bool {
        error.errno == nil
            ? error.kind == .unsupported : error.mayBeOfBufferSize || error.errno == .noMemory
    }

    /// Returns the sizes to try, in order; nil stands for one page. A large size makes sense if the
    /// receive rings, filled with such buffers, leave half of the memory to payload. Pure.
    ///
    /// - Parameters:
    ///   - memory: the size of the dma-buf in bytes.
    ///   - ring: the number of buffers in the rings of all bound queues; 0 if unknown. Asked for
    ///     only if it matters.
    /// - Returns: at least one size.
    func candidates(memory: UInt64, ring: @autoclosure () -> UInt64) -> [UInt32?] {
        switch self {
        case .onePage: return [nil]
        case .bytes(let size): return [size]
        case .automatic:
            // Rings of unknown size are likely to be of this one.
            let known = ring()
            let buffers = known > 0 ? known : 1024
            let fitting = Self.large.filter {
                memory / UInt64($0) / 2 >= buffers && memory % Udmabuf.hugePageSize == 0
            }
            return fitting + [nil]
        }
    }
}

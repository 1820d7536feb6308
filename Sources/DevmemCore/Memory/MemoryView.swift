/// The view of the bytes of dma-bufs, with one owner.
struct MemoryView: ~Copyable {
    private let mapping: Mapping
    private let prepared: [any PreparedHostMemory]

    /// - Parameters:
    ///   - mapping: the view.
    ///   - prepared: what of it devices are prepared for.
    init(_ mapping: consuming Mapping, _ prepared: [any PreparedHostMemory] = []) {
        self.mapping = mapping
        self.prepared = prepared
    }

    deinit {
        // Before the mapping goes away.
        for host in prepared { host.end() }
    }

    /// The memory, which must not be used after this value's life.
    var bytes: UnsafeMutableRawBufferPointer { mapping.bytes }
}

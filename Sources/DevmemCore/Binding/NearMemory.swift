import Logging

extension DmabufMemory {
    /// Allocates memory on the NUMA node of a NIC, if the machine has several and the node has room,
    /// or of the GPU nearest to it.
    ///
    /// - Parameters:
    ///   - interface: the NIC; nil for no preference.
    ///   - size: bytes.
    ///   - provider: where the memory comes from.
    ///   - pageSize: the size in bytes of the buffers that the NIC fills; nil for one page.
    ///   - parts: the number of dma-bufs.
    ///   - logger: logs the node or the GPU at level debug.
    /// - Throws: `DevmemError` as the other initializers.
    init(
        near interface: NetworkInterface?, size: UInt64, provider: MemoryProvider,
        pageSize: UInt32? = nil, parts: Int = 1, logger: Logger
    ) throws(DevmemError) {
        let node =
            MemoryPolicy.hasNodes ? interface.flatMap { NetworkDevice(of: $0).numaNode } : nil
        if let node, let interface {
            logger.debug("memory is to come from NUMA node \(node), which \(interface.name) is on")
        }
        self = try MemoryPolicy.preferring(node: node) { () throws(DevmemError) in
            try DmabufMemory(
                size: size, provider: provider, pageSize: pageSize, parts: parts, near: interface)
        }
        if let origin { logger.debug("the memory is of \(origin)") }
    }
}

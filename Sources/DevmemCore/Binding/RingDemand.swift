package import Logging

/// The part of a dma-buf that the rings of the bound receive queues need. Pure.
package struct RingDemand: Equatable, Sendable {
    /// The number of buffers in one ring.
    let entries: UInt64
    /// The number of bound queues.
    let queues: UInt64
    /// The size of a buffer in bytes.
    let pageSize: UInt64

    /// - Parameters:
    ///   - sizes: the ring sizes in descriptors, keyed by ethtool's ring names.
    ///   - queues: the number of bound queues.
    ///   - pageSize: the size of a buffer in bytes; nil for one page.
    init(_ sizes: [String: UInt32], queues: Int, pageSize: UInt32?) {
        // If there is a ring for jumbo frames, its buffers hold the payload.
        let jumbo = sizes["rx-jumbo"] ?? 0
        entries = UInt64(jumbo > 0 ? jumbo : sizes["rx"] ?? 0)
        self.queues = UInt64(clamping: max(0, queues))
        self.pageSize = UInt64(pageSize ?? 4096)
    }

    /// The number of buffers in the rings of all queues.
    var buffers: UInt64 {
        let (all, isTooMany) = entries.multipliedReportingOverflow(by: queues)
        return isTooMany ? .max : all
    }

    /// The size of all buffers in bytes.
    var bytes: UInt64 {
        let (all, isTooMany) = buffers.multipliedReportingOverflow(by: pageSize)
        return isTooMany ? .max : all
    }

    /// Returns why a dma-buf is too small for the rings; nil if it is not.
    func shortage(of memory: UInt64) -> String? {
        guard memory <= bytes, bytes < 1 << 62 else { return nil }
        // Allow the same amount for unread payload.
        let enough = (bytes * 2 + (1 << 20) - 1) >> 20
        let many = counted(queues, "queue")
        return "a dma-buf of \(ByteCount.text(memory)) is too small for the receive rings: "
            + "\(many) of \(entries) buffers of \(ByteCount.text(pageSize)) take "
            + "\(ByteCount.text(bytes)), and packets that find no buffer are lost; \(enough)M would do"
    }
}

extension RingDemand {
    /// Reads the ring sizes of a NIC; if they are unknown, the demand is zero.
    package init(of interface: NetworkInterface, queues: Int, pageSize: UInt32?) {
        let nic = try? EthtoolNetlink(interface)
        let rings: RingSettings? =
            switch nic {
            case .some(let open): try? open.rings()
            case .none: nil
            }
        self.init(rings?.sizes ?? [:], queues: queues, pageSize: pageSize)
    }

    /// Warns if a dma-buf is too small for the rings.
    package func warn(of memory: UInt64, on interface: NetworkInterface, logger: Logger) {
        if let shortage = shortage(of: memory) { logger.warning("\(interface.name): \(shortage)") }
    }
}

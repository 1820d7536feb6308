package import Logging

/// How much of a dma-buf the rings of a NIC's receive queues need. Pure.
package struct RingDemand: Equatable, Sendable {
    /// Buffers of one ring.
    let entries: UInt64
    /// Queues that the dma-buf is bound to.
    let queues: UInt64
    /// Bytes of a buffer.
    let pageSize: UInt64

    /// - Parameters:
    ///   - sizes: how many descriptors the rings have, by ethtool's name of the ring.
    ///   - queues: queues that the dma-buf is bound to.
    ///   - pageSize: bytes of a buffer; nil for a page of memory.
    init(_ sizes: [String: UInt32], queues: Int, pageSize: UInt32?) {
        // Where there is a ring for large packets, payload lies in that one's buffers.
        let jumbo = sizes["rx-jumbo"] ?? 0
        entries = UInt64(jumbo > 0 ? jumbo : sizes["rx"] ?? 0)
        self.queues = UInt64(clamping: max(0, queues))
        self.pageSize = UInt64(pageSize ?? 4096)
    }

    /// Bytes in all.
    var bytes: UInt64 {
        let (ring, isHuge) = entries.multipliedReportingOverflow(by: pageSize)
        let (all, isTooMany) = ring.multipliedReportingOverflow(by: queues)
        return isHuge || isTooMany ? .max : all
    }

    /// Why a dma-buf is too small for the rings; nil if it is not.
    func shortage(of memory: UInt64) -> String? {
        guard memory <= bytes, bytes < 1 << 62 else { return nil }
        // As much again for payload that is not read yet.
        let enough = (bytes * 2 + (1 << 20) - 1) >> 20
        let many = queues == 1 ? "1 queue" : "\(queues) queues"
        return "a dma-buf of \(ByteCount.text(memory)) is too small for the receive rings: "
            + "\(many) of \(entries) buffers of \(ByteCount.text(pageSize)) take "
            + "\(ByteCount.text(bytes)), and packets that find no buffer are lost; \(enough)M would do"
    }
}

extension RingDemand {
    /// Asks a NIC; if it does not tell, its rings need nothing.
    package init(of interface: NetworkInterface, queues: Int, pageSize: UInt32?) {
        let nic = try? EthtoolNetlink(interface)
        let rings: RingSettings? =
            switch nic {
            case .some(let open): try? open.rings()
            case .none: nil
            }
        self.init(rings?.sizes ?? [:], queues: queues, pageSize: pageSize)
    }

    /// Warns of a dma-buf that is too small for the rings.
    package func warn(of memory: UInt64, on interface: NetworkInterface, logger: Logger) {
        if let shortage = shortage(of: memory) { logger.warning("\(interface.name): \(shortage)") }
    }
}

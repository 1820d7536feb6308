import CDevmem

/// A driver's counters for one queue.
package struct QueueStatistics: Equatable, Sendable {
    /// Receive or transmit.
    package var type: QueueType
    /// The queue's index within its type.
    package var id: UInt32
    /// The counters, by their names in the kernel's Documentation/netlink/specs/netdev.yaml, such
    /// as `rx-packets`.
    package var counters: [String: UInt64]
}

extension QueueStatistics {
    init?(_ attributes: NetlinkAttributes) {
        guard let id = attributes.uint32(Attribute.id),
            let type = attributes.uint32(Attribute.type).flatMap(QueueType.init)
        else { return nil }
        var counters: [String: UInt64] = [:]
        for value in attributes.values {
            guard let name = Self.name(of: value.type), let number = value.unsigned else {
                continue
            }
            counters[name] = number
        }
        self.init(type: type, id: id, counters: counters)
    }

    private static func name(of attribute: UInt16) -> String? {
        let position = Int(attribute) - Int(cdm_NETDEV_A_QSTATS_RX_PACKETS)
        return names.indices.contains(position) ? names[position] : nil
    }

    fileprivate enum Attribute {
        static let interface = cdm_NETDEV_A_QSTATS_IFINDEX
        static let type = cdm_NETDEV_A_QSTATS_QUEUE_TYPE
        static let id = cdm_NETDEV_A_QSTATS_QUEUE_ID
        static let scope = cdm_NETDEV_A_QSTATS_SCOPE
        static let scopeQueue = cdm_NETDEV_QSTATS_SCOPE_QUEUE
    }

    /// In the order of their numbers, from `NETDEV_A_QSTATS_RX_PACKETS` to `NETDEV_A_QSTATS_TX_WAKE`
    /// of linux/netdev.h.
    static let names = [
        "rx-packets", "rx-bytes", "tx-packets", "tx-bytes", "rx-alloc-fail", "rx-hw-drops",
        "rx-hw-drop-overruns", "rx-csum-complete", "rx-csum-unnecessary", "rx-csum-none",
        "rx-csum-bad", "rx-hw-gro-packets", "rx-hw-gro-bytes", "rx-hw-gro-wire-packets",
        "rx-hw-gro-wire-bytes", "rx-hw-drop-ratelimits", "tx-hw-drops", "tx-hw-drop-errors",
        "tx-csum-none", "tx-needs-csum", "tx-hw-gso-packets", "tx-hw-gso-bytes",
        "tx-hw-gso-wire-packets", "tx-hw-gso-wire-bytes", "tx-hw-drop-ratelimits", "tx-stop",
        "tx-wake",
    ]
}

/// Reads the driver's counters for each queue of an interface.
///
/// - Parameter index: the interface index.
/// - Returns: the statistics in the kernel's order, empty while the interface is down; nil if the
///   driver has no counters by queue.
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses (qstats-get of
///   net/core/netdev-genl.c).
package func queueStatistics(ofInterface index: UInt32) throws(DevmemError) -> [QueueStatistics]? {
    do throws(DevmemError) {
        return try netdevDump(NetdevNumber.Command.queueStatisticsGet, operation: "qstats-get") {
            message throws(DevmemError) in
            try message.put(QueueStatistics.Attribute.interface, index)
            try message.put(
                QueueStatistics.Attribute.scope, QueueStatistics.Attribute.scopeQueue)
        }.compactMap(QueueStatistics.init)
    } catch  where error.errno == .notSupportedOnSocket {
        return nil
    }
}

import CDevmem
import SystemPackage

/// Whether the NIC stores TCP headers and payload in separate buffers (`ETHTOOL_TCP_DATA_SPLIT_*`
/// of linux/ethtool_netlink.h).
package enum HeaderSplit: UInt8, Sendable, Codable {
    /// No user has set it and the driver does not report its state; in a request, the driver
    /// decides.
    case unknown = 0
    /// Off.
    case off = 1
    /// On.
    case on = 2
}

/// The ring settings that device memory depends on, and the ring sizes.
package struct RingSettings: Equatable, Sendable, Codable {
    /// Header split; nil if the driver has no such setting.
    package var headerSplit: HeaderSplit?
    /// The packet size in bytes up to which headers are not split; nil if the driver has no such
    /// setting.
    package var splitThreshold: UInt32?
    /// The largest threshold that the driver accepts; nil if it has no such setting.
    package var splitThresholdLimit: UInt32?
    /// The numbers of descriptors of the rings, by ethtool's ring name.
    package var sizes: [String: UInt32]

    /// Creates settings from their values.
    package init(
        headerSplit: HeaderSplit?, splitThreshold: UInt32?, splitThresholdLimit: UInt32? = nil,
        sizes: [String: UInt32] = [:]
    ) {
        self.headerSplit = headerSplit
        self.splitThreshold = splitThreshold
        self.splitThresholdLimit = splitThresholdLimit
        self.sizes = sizes
    }
}

/// The settings to change with one rings-set; nil leaves a setting unchanged.
package struct RingRequest: Equatable, Sendable, CustomStringConvertible {
    var split: HeaderSplit?
    var threshold: UInt32?
    /// Ring sizes, by ethtool's ring name.
    var sizes: [String: UInt32] = [:]

    package init(
        split: HeaderSplit? = nil, threshold: UInt32? = nil, sizes: [String: UInt32] = [:]
    ) {
        self.split = split
        self.threshold = threshold
        self.sizes = sizes
    }

    var isEmpty: Bool { split == nil && threshold == nil && sizes.isEmpty }

    package var description: String {
        let lengths = sizes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        return
            ([split.map { "tcp-data-split \($0)" }, threshold.map { "hds-thresh \($0)" }]
            .compactMap { $0 } + lengths).joined(separator: " and ")
    }
}

/// Attributes of rings-get and rings-set (`ETHTOOL_A_RINGS_*` of linux/ethtool_netlink.h).
package enum RingAttribute {
    package static let headerSplit = cdm_ETHTOOL_A_RINGS_TCP_DATA_SPLIT
    package static let splitThreshold = cdm_ETHTOOL_A_RINGS_HDS_THRESH
    static let splitThresholdLimit = cdm_ETHTOOL_A_RINGS_HDS_THRESH_MAX

    static let sizes: KeyValuePairs<UInt16, String> = [
        cdm_ETHTOOL_A_RINGS_RX: "rx", cdm_ETHTOOL_A_RINGS_RX_MINI: "rx-mini",
        cdm_ETHTOOL_A_RINGS_RX_JUMBO: "rx-jumbo", cdm_ETHTOOL_A_RINGS_TX: "tx",
    ]

    static let names = AttributeNames(
        "",
        [
            EthtoolNumber.header: AttributeNames("header"),
            headerSplit: AttributeNames("tcp-data-split"),
            splitThreshold: AttributeNames("hds-thresh"),
        ])
}

extension RingSettings {
    /// Parses a reply to rings-get.
    ///
    /// The kernel omits header split while it is unknown, which does not mean unsupported; a
    /// threshold is present only if the driver has the setting (`rings_fill_reply` of
    /// net/ethtool/rings.c).
    init(_ reply: NetlinkAttributes) {
        let threshold = reply.uint32(RingAttribute.splitThreshold)
        let split = reply.uint32(RingAttribute.headerSplit)
            .flatMap { UInt8(exactly: $0) }.flatMap(HeaderSplit.init)
        headerSplit = split ?? (threshold == nil ? nil : .unknown)
        splitThreshold = threshold
        splitThresholdLimit = reply.uint32(RingAttribute.splitThresholdLimit)
        sizes = [:]
        for (attribute, name) in RingAttribute.sizes { sizes[name] = reply.uint32(attribute) }
    }
}

extension EthtoolNetlink {
    /// Reads the ring settings; they are nil for a NIC without any.
    package func rings() throws(DevmemError) -> RingSettings {
        let replies: [NetlinkAttributes]
        do throws(DevmemError) {
            replies = try request(EthtoolNumber.Command.ringsGet, operation: "read rings of")
        } catch  where error.errno == .notSupportedOnSocket {
            return RingSettings(headerSplit: nil, splitThreshold: nil)
        }
        return replies.first.map(RingSettings.init)
            ?? RingSettings(headerSplit: nil, splitThreshold: nil)
    }

    /// Changes ring settings in one request, because some drivers close and reopen the NIC for
    /// each.
    package func setRings(_ request: RingRequest) throws(DevmemError) {
        _ = try self.request(
            EthtoolNumber.Command.ringsSet,
            operation: .init(request.split == nil ? .other : .setHeaderSplit, "set \(request) on"),
            names: RingAttribute.names
        ) { message throws(DevmemError) in
            if let split = request.split {
                try message.put(RingAttribute.headerSplit, split.rawValue)
            }
            if let threshold = request.threshold {
                try message.put(RingAttribute.splitThreshold, threshold)
            }
            for (attribute, name) in RingAttribute.sizes {
                if let size = request.sizes[name] { try message.put(attribute, size) }
            }
        }
    }
}

extension FamilyPolicy {
    /// Whether the kernel of this policy of the family ethtool knows the header split threshold.
    package var setsSplitThreshold: Bool {
        attributes[EthtoolNumber.Command.ringsSet]?.contains(RingAttribute.splitThreshold) == true
    }
}

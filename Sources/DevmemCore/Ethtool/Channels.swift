import CDevmem
import SystemPackage

/// The numbers of a NIC's channels in use.
package struct ChannelCounts: Equatable, Sendable, Codable {
    /// Receive-only channels.
    package var rx: UInt32 = 0
    /// Transmit-only channels.
    package var tx: UInt32 = 0
    /// Channels for other purposes, such as link events.
    package var other: UInt32 = 0
    /// Channels that receive and transmit.
    package var combined: UInt32
}

extension ChannelCounts {
    /// The number of receive queues.
    package var receiveQueues: Int { Int(rx) + Int(combined) }

    /// Parses a reply to channels-get: four consecutive counts from an attribute on, RX, TX, other and
    /// combined; what is missing is zero.
    init(_ reply: NetlinkAttributes, from first: UInt16 = ChannelAttribute.firstCount) {
        self.init(
            rx: reply.uint32(first) ?? 0, tx: reply.uint32(first + 1) ?? 0,
            other: reply.uint32(first + 2) ?? 0, combined: reply.uint32(first + 3) ?? 0)
    }
}

/// The counts of a reply to channels-get (`ETHTOOL_A_CHANNELS_*` of linux/ethtool_netlink.h).
enum ChannelAttribute {
    static let firstLimit = cdm_ETHTOOL_A_CHANNELS_RX_MAX
    static let firstCount = cdm_ETHTOOL_A_CHANNELS_RX_COUNT

    static let names = AttributeNames(
        "",
        [
            cdm_ETHTOOL_A_CHANNELS_HEADER: AttributeNames("header"),
            cdm_ETHTOOL_A_CHANNELS_RX_COUNT: AttributeNames("rx-count"),
            cdm_ETHTOOL_A_CHANNELS_TX_COUNT: AttributeNames("tx-count"),
            cdm_ETHTOOL_A_CHANNELS_OTHER_COUNT: AttributeNames("other-count"),
            cdm_ETHTOOL_A_CHANNELS_COMBINED_COUNT: AttributeNames("combined-count"),
        ])
}

extension EthtoolNetlink {
    /// Reads the channel counts; nil if the driver does not report them.
    package func channels() throws(DevmemError) -> ChannelCounts? {
        try channelCounts(from: ChannelAttribute.firstCount)
    }

    /// Reads the maximum channel counts; nil if the driver does not report them.
    package func channelLimits() throws(DevmemError) -> ChannelCounts? {
        try channelCounts(from: ChannelAttribute.firstLimit)
    }

    /// Sets the channel counts, omitting the kinds that the NIC does not have.
    package func setChannels(_ counts: ChannelCounts) throws(DevmemError) {
        let values = [counts.rx, counts.tx, counts.other, counts.combined]
        let present = try channelLimits().map { [$0.rx, $0.tx, $0.other, $0.combined] } ?? []
        _ = try request(
            EthtoolNumber.Command.channelsSet, operation: "set channels of",
            names: ChannelAttribute.names
        ) { message throws(DevmemError) in
            for (offset, limit) in present.enumerated() where limit > 0 {
                try message.put(ChannelAttribute.firstCount + UInt16(offset), values[offset])
            }
        }
    }

    /// Reads four consecutive counts: RX, TX, other and combined.
    private func channelCounts(from first: UInt16) throws(DevmemError) -> ChannelCounts? {
        let replies: [NetlinkAttributes]
        do throws(DevmemError) {
            replies = try request(EthtoolNumber.Command.channelsGet, operation: "read channels of")
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
        return replies.first.map { ChannelCounts($0, from: first) }
    }
}

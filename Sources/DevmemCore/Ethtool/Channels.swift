import SystemPackage

/// How many queues a NIC has in use.
public struct ChannelCounts: Equatable, Sendable, Codable {
    /// Receive-only channels.
    public var rx: UInt32
    /// Transmit-only channels.
    public var tx: UInt32
    /// Channels for other things, such as link events.
    public var other: UInt32
    /// Channels that receive and transmit.
    public var combined: UInt32

    /// Makes counts from their values.
    public init(rx: UInt32 = 0, tx: UInt32 = 0, other: UInt32 = 0, combined: UInt32) {
        self.rx = rx
        self.tx = tx
        self.other = other
        self.combined = combined
    }
}

/// The counts of a reply to channels-get (`ETHTOOL_A_CHANNELS_*` of linux/ethtool_netlink.h).
private enum ChannelAttribute {
    static let firstLimit: UInt16 = 2
    static let firstCount: UInt16 = 6
}

extension EthtoolNetlink {
    /// Reads the channel counts; nil if the driver does not tell.
    func channels() throws(DevmemError) -> ChannelCounts? {
        try channelCounts(from: ChannelAttribute.firstCount)
    }

    /// Reads how many channels the NIC can have at most; nil if the driver does not tell.
    func channelLimits() throws(DevmemError) -> ChannelCounts? {
        try channelCounts(from: ChannelAttribute.firstLimit)
    }

    /// Sets the channel counts; those that are zero are left as they are.
    func setChannels(_ counts: ChannelCounts) throws(DevmemError) {
        _ = try request(EthtoolNumber.Command.channelsSet, call: "set channels of") {
            message throws(DevmemError) in
            let values = [counts.rx, counts.tx, counts.other, counts.combined]
            for (position, value) in values.enumerated() where value != 0 {
                try message.put(ChannelAttribute.firstCount + UInt16(position), value)
            }
        }
    }

    /// Four counts, in the order RX, TX, other and combined.
    private func channelCounts(from first: UInt16) throws(DevmemError) -> ChannelCounts? {
        let replies: [NetlinkAttributes]
        do throws(DevmemError) {
            replies = try request(EthtoolNumber.Command.channelsGet, call: "read channels of")
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
        return replies.first.map {
            ChannelCounts(
                rx: $0.uint32(first) ?? 0, tx: $0.uint32(first + 1) ?? 0,
                other: $0.uint32(first + 2) ?? 0, combined: $0.uint32(first + 3) ?? 0)
        }
    }
}

import SystemPackage

/// Of linux/ethtool_netlink.h: `ETHTOOL_A_LINKMODES_SPEED`, and `SPEED_UNKNOWN` of linux/ethtool.h.
private enum LinkModes {
    static let speed: UInt16 = 5
    static let speedUnknown = UInt32.max
}

extension EthtoolNetlink {
    /// Reads the link speed in Mbit/s; nil if the driver does not report it or there is no link.
    package func speed() throws(DevmemError) -> UInt32? {
        do throws(DevmemError) {
            let reply = try request(
                EthtoolNumber.Command.linkModesGet, call: "read the link modes of"
            ).first
            return reply?.uint32(LinkModes.speed).flatMap {
                $0 == LinkModes.speedUnknown || $0 == 0 ? nil : $0
            }
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
    }
}

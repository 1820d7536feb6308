import CDevmem
import SystemPackage

extension EthtoolNetlink {
    /// Reads the link speed in Mbit/s; nil if the driver does not report it or there is no link.
    package func speed() throws(DevmemError) -> UInt32? {
        do throws(DevmemError) {
            let reply = try request(
                EthtoolNumber.Command.linkModesGet, operation: "read the link modes of"
            ).first
            return reply?.uint32(cdm_ETHTOOL_A_LINKMODES_SPEED).flatMap {
                $0 == cdm_SPEED_UNKNOWN || $0 == 0 ? nil : $0
            }
        } catch  where error.errno == .notSupportedOnSocket {
            return nil
        }
    }
}

import SystemPackage

/// The meaning of the ntuple feature, by driver (Linux 7.3).
package enum NtupleFeature {
    /// Returns whether flow rules require the feature. In mlx5 it controls accelerated RFS and
    /// rules work without it (`mlx5e_ethtool_flow_replace` of en_fs_ethtool.c does not check it).
    package static func isNeeded(driver: String?) -> Bool { driver != "mlx5_core" }

    /// Drivers with accelerated RFS (`ndo_rx_flow_steer`) among those that support device memory.
    static let accelerators: Set<String> = ["mlx5_core", "bnxt_en"]
}

extension NICSnapshot {
    /// Whether flow rules take effect at present.
    var areRulesEffective: Bool {
        ntuple?.isActive == true || !NtupleFeature.isNeeded(driver: driver) && ruleTable != nil
    }

    /// Whether flow rules take effect, or would once the feature is on.
    var canUseRules: Bool {
        ruleTable != nil && (areRulesEffective || ntuple?.isChangeable == true)
    }
}

/// Returns the receive queues to which accelerated RFS may steer flows: those with a flow table, if
/// the global socket flow table is enabled too (Documentation/networking/scaling.rst).
///
/// - Parameters:
///   - interface: the interface.
///   - driver: its driver.
///   - queues: the queues to check.
/// - Returns: the subset of `queues`; empty if the settings cannot be read.
func acceleratedQueues(
    of interface: NetworkInterface, driver: String?, among queues: [UInt32]
) -> Set<UInt32> {
    guard let driver, NtupleFeature.accelerators.contains(driver),
        isSet("/proc/sys/net/core/rps_sock_flow_entries"),
        let link = interface.link, let folder = ParentDevice(of: link)?.folder(of: link)
    else { return [] }
    return Set(queues.filter { isSet("\(folder)/queues/rx-\($0)/rps_flow_cnt") })
}

private func isSet(_ path: String) -> Bool {
    (try? numbers(in: path))?.first.map { $0 != 0 } ?? false
}

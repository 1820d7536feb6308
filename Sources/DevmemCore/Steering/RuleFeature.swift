import SystemPackage

/// What the feature ntuple means to a driver (Linux 7.3).
package enum RuleFeature {
    /// Whether flow rules work only while it is on. With mlx5 it stands for accelerated RFS, and rules
    /// work without (`mlx5e_ethtool_flow_replace` of en_fs_ethtool.c does not ask for it).
    package static func isNeeded(driver: String?) -> Bool { driver != "mlx5_core" }

    /// Drivers that lead flows to the queue of the processor that reads them while the feature is on
    /// (`ndo_rx_flow_steer`), those that can do device memory.
    static let accelerators: Set<String> = ["mlx5_core", "bnxt_en"]
}

extension NICSnapshot {
    /// Whether flow rules have an effect as things are.
    var rulesWork: Bool {
        ntuple?.isActive == true || !RuleFeature.isNeeded(driver: driver) && ruleTable != nil
    }

    /// Whether flow rules have an effect, or can be made to have one.
    var canHaveRules: Bool {
        ruleTable != nil && (rulesWork || ntuple?.isChangeable == true)
    }
}

/// The receive queues that accelerated RFS may lead flows to: those with a flow table, if sockets
/// have one too (Documentation/networking/scaling.rst).
///
/// - Parameters:
///   - interface: the interface.
///   - driver: its driver.
///   - queues: the queues to look at.
/// - Returns: those of them; none if it cannot be read.
func acceleratedQueues(
    of interface: NetworkInterface, driver: String?, among queues: [UInt32]
) -> Set<UInt32> {
    guard let driver, RuleFeature.accelerators.contains(driver),
        isSet("/proc/sys/net/core/rps_sock_flow_entries"),
        let link = interface.link, let folder = ParentDevice(of: link)?.folder(of: link)
    else { return [] }
    return Set(queues.filter { isSet("\(folder)/queues/rx-\($0)/rps_flow_cnt") })
}

private func isSet(_ path: String) -> Bool {
    (try? numbers(in: path))?.first.map { $0 != 0 } ?? false
}

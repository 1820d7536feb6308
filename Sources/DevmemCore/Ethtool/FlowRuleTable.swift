import CDevmem
import SystemPackage

/// A NIC's table of flow rules.
package struct FlowRuleTable: Equatable, Sendable {
    /// The locations in use, ascending.
    package var locations: [UInt32]
    /// The number of locations; nil if unknown.
    package var capacity: UInt32?
    /// Whether the driver chooses a free location on request.
    package var choosesLocation: Bool
    /// Whether the driver reports as many rules as locations.
    package var isFull = false
}

extension FlowRuleTable {
    /// Creates a table from the kernel's answers to two queries.
    ///
    /// A driver reports its table size in the first answer (gve, bnxt, fbnic), in the second (mlx5,
    /// gve, fbnic) or not at all; bnxt's second answer holds the number of rules. So a size that
    /// leaves no room is ignored: the driver will say whether there is room.
    ///
    /// - Parameters:
    ///   - count: `data` of ETHTOOL_GRXCLSRLCNT.
    ///   - all: `data` of ETHTOOL_GRXCLSRLALL.
    ///   - locations: the locations in use, in any order.
    init(count: UInt32, all: UInt32, locations: [UInt32]) {
        let reported = count & ~cdm_RX_CLS_LOC_SPECIAL
        let size = reported != 0 ? reported : all
        self.init(
            locations: locations.sorted(), capacity: Int(size) > locations.count ? size : nil,
            choosesLocation: count & cdm_RX_CLS_LOC_SPECIAL != 0)
        isFull = reported != 0 && Int(reported) == locations.count
    }

    /// Returns the location to request for a new rule: the driver's choice if it offers that,
    /// otherwise the lowest free one. Where the lower location takes precedence, that puts the rule
    /// before as many others as possible.
    ///
    /// - Parameter others: further locations that are not free.
    /// - Returns: the location to request.
    /// - Throws: `DevmemError` of kind `unsupported` with ENOSPC if the table is known to be full.
    func place(besides others: Set<UInt32> = []) throws(DevmemError) -> UInt32 {
        if choosesLocation { return cdm_RX_CLS_LOC_ANY }
        let used = others.union(locations)
        let limit = capacity ?? UInt32(clamping: used.count + 1)
        guard let free = (0..<limit).first(where: { !used.contains($0) }) else {
            throw DevmemError(
                .unsupported, call: "find room for a flow rule", errno: .noSpace,
                message: "all \(limit) locations are in use",
                advice: "ethtool -n \(.nic) lists them; delete those not needed")
        }
        return free
    }
}

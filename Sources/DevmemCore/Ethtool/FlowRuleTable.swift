import CDevmem
import SystemPackage

/// What a NIC says of its table of flow rules.
package struct FlowRuleTable: Equatable, Sendable {
    /// The locations in use, ascending.
    package var locations: [UInt32]
    /// How many locations there are; nil if it is not known.
    package var capacity: UInt32?
    /// Whether the driver picks a free location when asked to.
    package var choosesLocation: Bool
    /// Whether the driver says that as many rules are there as there can be.
    package var isFull = false

    /// Makes a table from its values.
    package init(locations: [UInt32], capacity: UInt32?, choosesLocation: Bool) {
        self.locations = locations
        self.capacity = capacity
        self.choosesLocation = choosesLocation
    }

    /// Makes a table from what the kernel's two questions are answered with.
    ///
    /// A driver tells its size in the first answer (gve, bnxt, fbnic), in the second (mlx5, gve,
    /// fbnic), or not at all; bnxt's second one has the number of rules in use instead. So a size
    /// that leaves no room is not believed: the driver knows best whether there is some.
    ///
    /// - Parameters:
    ///   - count: `data` of ETHTOOL_GRXCLSRLCNT.
    ///   - all: `data` of ETHTOOL_GRXCLSRLALL.
    ///   - locations: the locations in use, in any order.
    init(count: UInt32, all: UInt32, locations: [UInt32]) {
        let told = count & ~cdm_RX_CLS_LOC_SPECIAL
        let size = told != 0 ? told : all
        self.init(
            locations: locations.sorted(), capacity: Int(size) > locations.count ? size : nil,
            choosesLocation: count & cdm_RX_CLS_LOC_SPECIAL != 0)
        isFull = told != 0 && Int(told) == locations.count
    }

    /// The place for a new rule: the driver's choice where it has one, else the lowest free. Where
    /// the location decides between rules, that goes before as many others as can be.
    ///
    /// - Parameter others: locations that are not free either.
    /// - Returns: the place to ask for.
    /// - Throws: `DevmemError` of kind `unsupported` if the table is known to be full.
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

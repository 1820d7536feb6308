import CDevmem

/// A NIC feature that steering turns on, by the kernel's name for it (`netdev_features_strings` of
/// net/ethtool/common.c).
package enum SteeringFeature: String, Sendable, Codable, CaseIterable {
    /// Required by flow rules.
    case flowRules = "rx-ntuple-filter"
    /// Required by header split in some drivers.
    case hardwareGRO = "rx-gro-hw"
}

private enum FeatureAttribute {
    static let hardware = cdm_ETHTOOL_A_FEATURES_HW
    static let wanted = cdm_ETHTOOL_A_FEATURES_WANTED
    static let active = cdm_ETHTOOL_A_FEATURES_ACTIVE

    enum Bitset {
        static let noMask = cdm_ETHTOOL_A_BITSET_NOMASK
        static let bits = cdm_ETHTOOL_A_BITSET_BITS
        static let bit = cdm_ETHTOOL_A_BITSET_BITS_BIT
    }

    enum Bit {
        static let name = cdm_ETHTOOL_A_BITSET_BIT_NAME
        static let value = cdm_ETHTOOL_A_BITSET_BIT_VALUE
    }
}

/// The state of one feature of a NIC.
package struct FeatureState: Equatable, Sendable, Codable {
    /// Whether it is active now.
    package var isActive: Bool
    /// Whether it can be turned on and off.
    package var isChangeable: Bool
    /// Whether a user requested it. A refused request stays and may take effect with a later
    /// change.
    package var isWanted: Bool

    /// Creates a state from its values; `isWanted` defaults to `isActive`.
    package init(isActive: Bool, isChangeable: Bool, isWanted: Bool? = nil) {
        self.isActive = isActive
        self.isChangeable = isChangeable
        self.isWanted = isWanted ?? isActive
    }
}

extension EthtoolNetlink {
    package func feature(_ feature: SteeringFeature) throws(DevmemError) -> FeatureState {
        let name = feature.rawValue
        let reply = try request(EthtoolNumber.Command.featuresGet, operation: "read features of")
            .first
        return FeatureState(
            isActive: try featureNames(reply?[FeatureAttribute.active]).contains(name),
            isChangeable: try featureNames(reply?[FeatureAttribute.hardware]).contains(name),
            isWanted: try featureNames(reply?[FeatureAttribute.wanted]).contains(name))
    }

    /// Returns the names of the active features.
    package func activeFeatures() throws(DevmemError) -> Set<String> {
        let reply = try request(EthtoolNumber.Command.featuresGet, operation: "read features of")
            .first
        return Set(try featureNames(reply?[FeatureAttribute.active]))
    }

    /// Turns a feature on or off. The kernel reports success even if the driver refuses, so the
    /// state is read back (`ethnl_set_features` of net/ethtool/features.c).
    func setFeature(_ feature: SteeringFeature, _ on: Bool) throws(DevmemError) {
        let name = feature.rawValue
        let operation: DevmemError.Operation = "turn \(name) \(on ? "on" : "off") on"
        _ = try request(EthtoolNumber.Command.featuresSet, operation: operation) {
            message throws(DevmemError) in
            try message.nest(FeatureAttribute.wanted) { bitset throws(DevmemError) in
                try bitset.nest(FeatureAttribute.Bitset.bits) { bits throws(DevmemError) in
                    try bits.nest(FeatureAttribute.Bitset.bit) { bit throws(DevmemError) in
                        try bit.put(FeatureAttribute.Bit.name, name)
                        if on { try bit.putFlag(FeatureAttribute.Bit.value) }
                    }
                }
            }
        }
        guard try self.feature(feature).isActive == on else {
            throw DevmemError(
                .unsupported, call: "\(operation) \(interface.name)",
                message: "the driver does not allow it")
        }
    }
}

/// Returns the names in a verbose bitset; with a mask, only those of bits that are set. Pure.
func featureNames(_ value: NetlinkAttributes.Value?) throws(DevmemError) -> [String] {
    guard let bitset = try value?.nested(),
        let bits = try bitset[FeatureAttribute.Bitset.bits]?.nested()
    else { return [] }
    let isList = bitset[FeatureAttribute.Bitset.noMask] != nil
    var names: [String] = []
    for bit in bits.all(FeatureAttribute.Bitset.bit) {
        let fields = try bit.nested()
        guard let name = fields[FeatureAttribute.Bit.name]?.string else { continue }
        if isList || fields[FeatureAttribute.Bit.value] != nil { names.append(name) }
    }
    return names
}

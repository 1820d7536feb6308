/// The settings of a NIC that steering may touch, and what it must know of the rest.
public struct NICSnapshot: Equatable, Sendable {
    /// Header split and its threshold.
    public var rings: RingSettings
    /// The receive queues in use.
    public var receiveQueues: [QueueInfo]
    /// The RSS indirection table of the main context; empty if the NIC has none.
    public var indirection: [UInt32]
    /// Whether flow rules are turned on, and can be; nil if the NIC has none.
    public var flowRules: FeatureState?

    /// Makes a snapshot from its values.
    public init(
        rings: RingSettings, receiveQueues: [QueueInfo], indirection: [UInt32],
        flowRules: FeatureState?
    ) {
        self.rings = rings
        self.receiveQueues = receiveQueues
        self.indirection = indirection
        self.flowRules = flowRules
    }

    /// Reads a NIC's settings.
    ///
    /// - Throws: `DevmemError` as the kernel answers.
    public init(of interface: NetworkInterface) throws(DevmemError) {
        let netlink = try EthtoolNetlink(interface)
        let ioctl = try EthtoolIoctl(interface)
        self.init(
            rings: try netlink.rings(),
            receiveQueues: try queues(ofInterface: interface.index).filter { $0.type == .rx },
            indirection: try ioctl.indirectionTable(),
            flowRules: try ioctl.flowRules() == nil ? nil : try netlink.feature(flowRuleFeature))
    }
}

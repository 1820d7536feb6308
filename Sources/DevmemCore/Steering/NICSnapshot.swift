/// The NIC settings that steering changes, and those that its decisions depend on.
package struct NICSnapshot: Equatable, Sendable {
    /// The kernel driver's name, if known.
    package var driver: String?
    /// Header split, its threshold and the ring sizes.
    package var rings: RingSettings
    /// The number of channels in use; nil if the driver does not report it.
    package var channels: ChannelCounts?
    /// The receive queues in use.
    package var receiveQueues: [QueueInfo]
    /// The receive queues grouped by DMA device, which all queues of one binding must share; empty
    /// if all share one or it is unknown.
    package var dmaGroups: [[UInt32]]
    /// The id of the XDP program attached to the interface, if any.
    package var xdpProgram: UInt32?
    /// The RSS contexts, the main one first; empty if the NIC has no RSS.
    package var contexts: [RSSContext]
    /// The state of the flow rule feature; nil if the NIC has none.
    package var ntuple: FeatureState?
    /// The state of hardware GRO where header split depends on it; otherwise nil.
    package var neededGRO: FeatureState?
    /// The flow rule table; nil if the NIC has none.
    package var ruleTable: FlowRuleTable?
    /// The flow rules, by location.
    package var rules: [InstalledRule]
    /// The receive queues to which accelerated RFS may steer other flows.
    package var acceleratedQueues: Set<UInt32> = []

    /// Creates a snapshot from its values.
    package init(
        driver: String? = nil, rings: RingSettings, channels: ChannelCounts? = nil,
        receiveQueues: [QueueInfo], dmaGroups: [[UInt32]] = [], xdpProgram: UInt32? = nil,
        contexts: [RSSContext],
        ntuple: FeatureState?, neededGRO: FeatureState? = nil, ruleTable: FlowRuleTable?,
        rules: [InstalledRule] = []
    ) {
        self.driver = driver
        self.rings = rings
        self.channels = channels
        self.receiveQueues = receiveQueues
        self.dmaGroups = dmaGroups
        self.xdpProgram = xdpProgram
        self.contexts = contexts
        self.ntuple = ntuple
        self.neededGRO = neededGRO
        self.ruleTable = ruleTable
        self.rules = rules
    }

    /// Reads a NIC's settings.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the kernel refuses a request.
    package init(of interface: NetworkInterface) throws(DevmemError) {
        let nic = try EthtoolNIC(interface)
        let table = try nic.ruleTable()
        let rules = try DevmemCore.rules(at: table?.locations ?? []) {
            location throws(DevmemError) in try nic.rule(at: location)
        }
        let driver = nic.driver
        let receiveQueues = try queues(ofInterface: interface.index).filter { $0.type == .rx }
        self.init(
            driver: driver, rings: try nic.rings(), channels: try nic.channels(),
            receiveQueues: receiveQueues,
            xdpProgram: try attachedXDPProgram(ofInterface: interface.index),
            contexts: try nic.contexts(),
            ntuple: table == nil ? nil : try nic.feature(.flowRules),
            neededGRO: headerSplitNeedsGRO(driver: driver)
                ? try nic.feature(.hardwareGRO) : nil,
            ruleTable: table, rules: rules)
        acceleratedQueues = DevmemCore.acceleratedQueues(
            of: interface, driver: driver, among: receiveQueues.map(\.id))
    }

    /// Reads a NIC's settings, and which of its queues can share a binding, for the choice of
    /// queues. This sends bind requests that the kernel is bound to refuse.
    ///
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the kernel refuses a request for
    ///   settings.
    package init(choosingQueuesOf interface: NetworkInterface) throws(DevmemError) {
        try self.init(of: interface)
        dmaGroups = DevmemCore.dmaGroups(of: receiveQueues.map(\.id).sorted(), on: interface)
    }

    /// The changes that the driver requires before it turns header split on.
    package var changesBeforeSplit: [SteeringChange] {
        guard let neededGRO, !neededGRO.isActive else { return [] }
        return [.feature(.hardwareGRO, wasWanted: neededGRO.isWanted)]
    }

    /// The main RSS table; empty if the NIC has none.
    package var indirection: [UInt32] { contexts.first { $0.id == 0 }?.indirection ?? [] }
}

/// Returns whether a driver turns header split on only while rx-gro-hw is on
/// (`mlx5e_ethtool_set_tcp_data_split` of mlx5's en_ethtool.c, Linux 7.3).
package func headerSplitNeedsGRO(driver: String?) -> Bool { driver == "mlx5_core" }

/// The settings of a NIC that steering may touch, and what it must know of the rest.
package struct NICSnapshot: Equatable, Sendable {
    /// The kernel driver's name, if it is known.
    package var driver: String?
    /// Header split, its threshold and the ring sizes.
    package var rings: RingSettings
    /// How many channels are in use; nil if the driver does not tell.
    package var channels: ChannelCounts?
    /// The receive queues in use.
    package var receiveQueues: [QueueInfo]
    /// The receive queues by their DMA device, which queues of one binding must share; empty where all do,
    /// and where it is not known.
    package var dmaGroups: [[UInt32]]
    /// The id of an XDP program on the interface, if there is one.
    package var xdpProgram: UInt32?
    /// The RSS contexts, the main one first; none if the NIC has no RSS.
    package var contexts: [RSSContext]
    /// Whether flow rules are turned on, and can be; nil if the NIC has none.
    package var ntuple: FeatureState?
    /// Whether hardware GRO is turned on, and can be, where header split needs it; nil elsewhere.
    package var neededGRO: FeatureState?
    /// The table of flow rules; nil if the NIC has none.
    package var ruleTable: FlowRuleTable?
    /// The flow rules, by location.
    package var rules: [InstalledRule]
    /// The receive queues that accelerated RFS may lead flows of others to.
    package var acceleratedQueues: Set<UInt32> = []

    /// Makes a snapshot from its values.
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
    /// - Throws: `DevmemError` as the kernel answers.
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

    /// Reads a NIC's settings, and which of its queues one binding can have together, for those who are
    /// to choose queues. That takes requests to bind, which the kernel refuses.
    ///
    /// - Throws: `DevmemError` as the kernel answers.
    package init(choosingQueuesOf interface: NetworkInterface) throws(DevmemError) {
        try self.init(of: interface)
        dmaGroups = DevmemCore.dmaGroups(of: receiveQueues.map(\.id).sorted(), on: interface)
    }

    /// What must be changed before the driver turns header split on.
    package var changesBeforeSplit: [SteeringChange] {
        guard let neededGRO, !neededGRO.isActive else { return [] }
        return [.feature(.hardwareGRO, wasWanted: neededGRO.isWanted)]
    }

    /// The main RSS table; empty if the NIC has none.
    package var indirection: [UInt32] { contexts.first { $0.id == 0 }?.indirection ?? [] }
}

/// Whether a driver turns header split on only while rx-gro-hw is on
/// (`mlx5e_ethtool_set_tcp_data_split` of mlx5's en_ethtool.c, Linux 7.3).
package func headerSplitNeedsGRO(driver: String?) -> Bool { driver == "mlx5_core" }

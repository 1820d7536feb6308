package import DevmemCore
import SystemPackage

/// The properties of a NIC that device memory TCP depends on.
package struct NICFacts: Sendable {
    /// The device and its link.
    package var device: NetworkDevice
    /// Header split.
    package var rings: Reading<RingSettings>
    /// Whether the kernel knows the header split threshold; nil if it does not say.
    package var setsSplitThreshold: Bool?
    /// The running kernel's release (uname(2)).
    package var kernelRelease: String
    /// The number of channels in use; nil if the driver does not report it.
    package var channels: Reading<ChannelCounts?>
    /// The maximum number of channels.
    package var channelLimits: Reading<ChannelCounts?>
    /// The receive queues in use.
    package var queues: Reading<[QueueInfo]>
    /// The XDP program on the interface, if any.
    package var xdpProgram: Reading<XDPProgram?>
    /// The process that holds the XDP program, if any.
    package var xdpHolder: Int32?
    /// The RSS contexts.
    package var contexts: Reading<[RSSContext]>
    /// Whether flow rules are enabled, and can be.
    package var ntuple: Reading<FeatureState>
    /// Whether hardware GRO is enabled, and can be.
    package var hardwareGRO: Reading<FeatureState>
    /// The flow rule table; nil if the NIC has none.
    package var ruleTable: Reading<FlowRuleTable?>
    /// The flow rules that could be read.
    package var rules: [InstalledRule]
    /// The state of the steering journal.
    package var steering: Reading<SteeringState>
    /// The page pools of the NIC.
    package var pagePools: Reading<[PagePoolInfo]>
    /// Seconds since boot, on the clock of page pools.
    package var uptime: UInt64
    /// The memory devices to compute distances to.
    package var memory: [MemoryDevice]
    /// The GPUs of the CUDA driver and of the HIP runtime.
    package var gpus: [GPU]

    /// The name of its interface in a command that is shown to be run.
    var shownName: String { shellWord(device.interface.name) }

    /// The state of a NIC's steering journal.
    package enum SteeringState: Equatable, Sendable {
        /// There is no journal.
        case none
        /// A process steers the NIC; `queues` are the queues that it uses.
        case inUse(holder: String, pid: Int32?, queues: [UInt32])
        /// Steering is applied permanently, under a name.
        case kept(name: String, queues: [UInt32], contexts: [UInt32])
        /// The process that made the changes is gone, and did not restore the settings.
        case left(maker: String, changes: Int)
        /// The journal is from an earlier boot and obsolete, for this reason.
        case earlier(String)
        /// The journal cannot be read, for this reason.
        case damaged(String)
    }

    /// The applied steering; nil if there is none.
    var applied: SteeringPlan.Applied? {
        guard case .success(.kept(_, let queues, let contexts)) = steering else { return nil }
        return SteeringPlan.Applied(queues: queues, contexts: contexts)
    }
}

extension NICFacts {
    /// Reads the facts. A value that cannot be read holds the error.
    ///
    /// - Parameters:
    ///   - device: the NIC.
    ///   - host: the facts of its host, some of which the checks of the NIC need too.
    ///   - store: the store of the steering journals.
    package init(
        of device: NetworkDevice, on host: HostFacts, store: JournalStore = JournalStore()
    ) {
        self.device = device
        memory = host.memoryDevices
        gpus = [host.gpus, host.amdGPUs].flatMap { (try? $0.get()) ?? [] }
        kernelRelease = host.kernelRelease
        setsSplitThreshold = (try? host.ethtool.get())?.setsSplitThreshold
        let interface = device.interface
        rings = Self.asking(interface) { nic throws(DevmemError) in try nic.rings() }
        channels = Self.asking(interface) { nic throws(DevmemError) in try nic.channels() }
        channelLimits = Self.asking(interface) { nic throws(DevmemError) in
            try nic.channelLimits()
        }
        contexts = Self.asking(interface) { nic throws(DevmemError) in try nic.rssContexts() }
        ntuple = Self.asking(interface) { nic throws(DevmemError) in
            try nic.feature(.flowRules)
        }
        hardwareGRO = Self.asking(interface) { nic throws(DevmemError) in
            try nic.feature(.hardwareGRO)
        }
        queues = Result { () throws(DevmemError) in
            try DevmemCore.queues(ofInterface: interface.index).filter { $0.type == .rx }
        }
        xdpProgram = Result { () throws(DevmemError) in
            try DevmemCore.xdpProgram(ofInterface: interface.index)
        }
        if case .success(let program?) = xdpProgram {
            xdpHolder = holderOfXDP(program: program.id, on: interface.index)
        }
        rules = []
        do throws(DevmemError) {
            let ioctl = try EthtoolIoctl(interface)
            let table = try ioctl.flowRules()
            ruleTable = .success(table)
            rules = try DevmemCore.rules(at: table?.locations ?? []) {
                location throws(DevmemError) in try ioctl.flowRule(at: location)
            }
        } catch {
            ruleTable = .failure(error)
        }
        steering = Result { () throws(DevmemError) in
            let entry = try steeredNICs(in: store).first { $0.interface == interface }
            return entry.map { SteeringState($0) } ?? .none
        }
        pagePools = Result { () throws(DevmemError) in
            try DevmemCore.pagePools().filter { $0.interface == interface.index }
        }
        uptime = secondsSinceBoot()
    }

    private static func asking<Value>(
        _ interface: NetworkInterface,
        _ question: (borrowing EthtoolNetlink) throws(DevmemError) -> Value
    ) -> Reading<Value> {
        Result { () throws(DevmemError) in try question(try EthtoolNetlink(interface)) }
    }
}

extension NICFacts.SteeringState {
    init(_ entry: SteeredNIC) {
        if let problem = entry.problem {
            self =
                entry.isFromEarlierBoot
                ? .earlier(problem.message ?? "") : .damaged(problem.description)
        } else if let journal = entry.journal, journal.phase == .kept {
            let applied = journal.applied
            self = .kept(
                name: journal.name ?? journal.maker, queues: applied.queues,
                contexts: applied.contexts)
        } else if let holder = entry.holder {
            self = .inUse(
                holder: holder, pid: entry.holderPID, queues: entry.journal?.queues ?? [])
        } else if let journal = entry.journal {
            self = .left(maker: journal.maker, changes: journal.changes.count)
        } else {
            self = .none
        }
    }
}

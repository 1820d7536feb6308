package import DevmemCore
import SystemPackage

/// What device memory TCP depends on at one NIC.
package struct NICFacts: Sendable {
    /// The device and its link.
    package var device: NetworkDevice
    /// Header split.
    package var rings: Reading<RingSettings>
    /// How many channels are in use; nil if the driver does not tell.
    package var channels: Reading<ChannelCounts?>
    /// How many there can be.
    package var channelLimits: Reading<ChannelCounts?>
    /// The receive queues in use.
    package var queues: Reading<[QueueInfo]>
    /// An XDP program on the interface, if there is one.
    package var xdpProgram: Reading<XDPProgram?>
    /// The process that keeps it there, if one does.
    package var xdpHolder: Int32?
    /// The RSS contexts.
    package var contexts: Reading<[RSSContext]>
    /// Whether flow rules are turned on, and can be.
    package var ntuple: Reading<FeatureState>
    /// Whether hardware GRO is turned on, and can be.
    package var hardwareGRO: Reading<FeatureState>
    /// The table of flow rules; nil if the NIC has none.
    package var ruleTable: Reading<FlowRuleTable?>
    /// The flow rules that can be read.
    package var rules: [InstalledRule]
    /// Who steers it, or has left it steered.
    package var steering: Reading<SteeringState>
    /// The page pools of the NIC.
    package var pagePools: Reading<[PagePoolInfo]>
    /// Seconds since boot, as page pools count them.
    package var uptime: UInt64
    /// Memory that may be near or far.
    package var memory: [MemoryDevice]

    /// What stands in a NIC's steering journal, and whether its writer lives.
    package enum SteeringState: Equatable, Sendable {
        /// There is none.
        case none
        /// A process steers it; `queues` are those that it took.
        case inUse(holder: String, pid: Int32?, queues: [UInt32])
        /// Steering stays applied, under a name.
        case kept(name: String, queues: [UInt32], contexts: [UInt32])
        /// Who made it is gone, and did not take it back.
        case left(maker: String, changes: Int)
        /// The journal is of an earlier boot, in these words, and of no use.
        case earlier(String)
        /// The journal cannot be read, for this reason.
        case damaged(String)
    }

    /// What steering in place has made of it; nil if nothing has.
    var applied: SteeringPlan.Applied? {
        guard case .success(.kept(_, let queues, let contexts)) = steering else { return nil }
        return SteeringPlan.Applied(queues: queues, contexts: contexts)
    }
}

extension NICFacts {
    /// Reads them; what cannot be read is in the value, as an error.
    ///
    /// - Parameters:
    ///   - device: the NIC.
    ///   - memory: memory to tell the distance of.
    ///   - store: where steering journals lie.
    package init(
        of device: NetworkDevice, memory: [MemoryDevice], store: JournalStore = JournalStore()
    ) {
        self.device = device
        self.memory = memory
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

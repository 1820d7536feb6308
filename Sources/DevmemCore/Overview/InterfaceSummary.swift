import SystemPackage

/// An interface at a glance.
public struct InterfaceSummary: Sendable {
    /// What the routing netlink tells.
    public var link: LinkInfo
    /// The kernel driver's name; nil for a virtual interface.
    public var driver: String?
    /// The link's speed in megabits a second, if it is known.
    public var speed: UInt32?
    /// Header split, its threshold and the ring sizes.
    public var rings: RingSettings
    /// How many channels are in use; nil if the driver does not tell.
    public var channels: ChannelCounts?
    /// The queues in use; none while the interface is down.
    public var queues: [QueueInfo]
    /// What is steered on it, or has been left so.
    public var steering: SteeringEntry?
    /// Page pools that wait for what is in flight.
    public var detachedPools: [DetachedPool]

    /// Makes a summary from its values.
    public init(
        link: LinkInfo, driver: String? = nil, speed: UInt32? = nil,
        rings: RingSettings = RingSettings(headerSplit: nil, splitThreshold: nil),
        channels: ChannelCounts? = nil, queues: [QueueInfo] = [], steering: SteeringEntry? = nil,
        detachedPools: [DetachedPool] = []
    ) {
        self.link = link
        self.driver = driver
        self.speed = speed
        self.rings = rings
        self.channels = channels
        self.queues = queues
        self.steering = steering
        self.detachedPools = detachedPools
    }

    /// Reads what is not given.
    ///
    /// - Throws: `DevmemError` as the kernel answers.
    init(
        _ link: LinkInfo, pools: [PagePoolInfo], steering: [SteeringEntry]
    ) throws(DevmemError) {
        let interface = try NetworkInterface(named: link.name)
        let nic = try EthtoolNetlink(interface)
        self.init(
            link: link, driver: interface.driver, speed: try nic.speed(), rings: try nic.rings(),
            channels: try nic.channels(), queues: try DevmemCore.queues(ofInterface: link.index),
            steering: steering.first { $0.interface == interface },
            detachedPools: DetachedPool.all(in: pools.filter { $0.interface == link.index }))
    }

    /// Whether no device stands behind it.
    public var isVirtual: Bool { driver == nil && link.parentDevice == nil }

    /// The receive queues that are bound to a dma-buf.
    public var boundQueues: [UInt32] {
        queues.filter { $0.type == .rx && $0.dmabufID != nil }.map(\.id).sorted()
    }
}

/// The interfaces of a network namespace at a glance.
public struct InterfaceList: Sendable {
    /// Those that could be read, by number.
    public var interfaces: [InterfaceSummary] = []
    /// Page pools that wait for what is in flight and whose interface is gone.
    public var orphanedPools: [DetachedPool] = []
    /// Connections that may hold the memory of those; they may be any with unread payload.
    public var likelyHolders: [LikelyHolder] = []
    /// The interfaces that could not be read, and why.
    public var problems: [(name: String, error: DevmemError)] = []

    /// Makes a list of interfaces.
    public init(interfaces: [InterfaceSummary]) {
        self.interfaces = interfaces
    }

    /// Reads this namespace's interfaces.
    ///
    /// - Parameter all: also virtual ones.
    /// - Throws: `DevmemError` as the kernel answers.
    public init(all: Bool) throws(DevmemError) {
        let pools = try pagePools()
        let entries = try steeringEntries()
        for link in try links() {
            do throws(DevmemError) {
                let summary = try InterfaceSummary(link, pools: pools, steering: entries)
                if all || !summary.isVirtual { interfaces.append(summary) }
            } catch {
                // It may have gone since the list was made.
                if (try? links(index: link.index)) != nil {
                    problems.append((link.name, error))
                }
            }
        }
        orphanedPools = DetachedPool.all(in: pools.filter { $0.interface == nil })
        guard !orphanedPools.isEmpty else { return }
        likelyHolders = DevmemCore.likelyHolders(
            addresses: nil, ofDevice: orphanedPools.contains { $0.pool.dmabufID != nil },
            sockets: TCPSocket.all(), processes: ProcessDescriptors.all())
    }
}

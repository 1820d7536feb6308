package import DevmemCore
import SystemPackage

/// An interface at a glance.
package struct InterfaceSummary: Sendable {
    /// What the routing netlink tells.
    package var link: LinkInfo
    /// The kernel driver's name; nil for a virtual interface.
    package var driver: String?
    /// The link's speed in megabits a second, if it is known.
    package var speed: UInt32?
    /// Header split, its threshold and the ring sizes.
    package var rings: RingSettings
    /// How many channels are in use; nil if the driver does not tell.
    package var channels: ChannelCounts?
    /// The queues in use; none while the interface is down.
    package var queues: [QueueInfo]
    /// What is steered on it, or has been left so.
    package var steering: SteeredNIC?
    /// Page pools that wait for what is in flight.
    package var detachedPools: [DetachedPool]

    /// Makes a summary from its values.
    package init(
        link: LinkInfo, driver: String? = nil, speed: UInt32? = nil,
        rings: RingSettings = RingSettings(headerSplit: nil, splitThreshold: nil),
        channels: ChannelCounts? = nil, queues: [QueueInfo] = [], steering: SteeredNIC? = nil,
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
        _ link: LinkInfo, pools: [PagePoolInfo], steering: [SteeredNIC]
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
    package var isVirtual: Bool { driver == nil && link.parentDevice == nil }

    /// The receive queues that are bound to a dma-buf.
    package var boundQueues: [UInt32] {
        queues.filter { $0.type == .rx && $0.dmabufID != nil }.map(\.id).sorted()
    }
}

/// The interfaces of a network namespace at a glance.
package struct InterfaceList: Sendable {
    /// Those that could be read, by number.
    package var interfaces: [InterfaceSummary] = []
    /// Page pools that wait for what is in flight and whose interface is gone.
    package var orphanedPools: [DetachedPool] = []
    /// Connections that may hold the memory of those; they may be any with unread payload.
    package var likelyHolders: [LikelyHolder] = []
    /// The interfaces that could not be read, and why.
    package var problems: [(name: String, error: DevmemError)] = []

    /// Makes a list of interfaces.
    package init(interfaces: [InterfaceSummary]) {
        self.interfaces = interfaces
    }

    /// Reads this namespace's interfaces.
    ///
    /// - Parameter all: also virtual ones.
    /// - Throws: `DevmemError` as the kernel answers.
    package init(all: Bool) throws(DevmemError) {
        let pools = try pagePools()
        let entries = try steeredNICs()
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
        likelyHolders = DevmemTools.likelyHolders(
            addresses: nil, ofDevice: orphanedPools.contains { $0.pool.dmabufID != nil },
            sockets: TCPSocket.all(), processes: ProcessDescriptors.all())
    }
}

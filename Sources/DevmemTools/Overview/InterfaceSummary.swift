package import DevmemCore
import SystemPackage

/// A summary of an interface.
package struct InterfaceSummary: Sendable {
    /// The link as rtnetlink reports it.
    package var link: LinkInfo
    /// The kernel driver's name; nil for a virtual interface.
    package var driver: String?
    /// The link's speed in Mbit/s, if known.
    package var speed: UInt32?
    /// Header split, its threshold, and the ring sizes.
    package var rings: RingSettings
    /// The number of channels in use; nil if the driver does not report it.
    package var channels: ChannelCounts?
    /// The queues in use; none while the interface is down.
    package var queues: [QueueInfo]
    /// The steering that is active on it, or that a dead process left.
    package var steering: SteeredNIC?
    /// Page pools that wait for memory in flight.
    package var detachedPools: [DetachedPool]

    /// Creates a summary from its values.
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

    /// Reads the values that are not given.
    ///
    /// - Throws: `DevmemError` with the kernel's answer.
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

    /// Whether it has no device.
    package var isVirtual: Bool { driver == nil && link.parentDevice == nil }

    /// The receive queues that are bound to a dma-buf.
    package var boundQueues: [UInt32] {
        queues.filter { $0.type == .rx && $0.dmabufID != nil }.map(\.id).sorted()
    }
}

/// The interfaces of a network namespace.
package struct InterfaceList: Sendable {
    /// The interfaces that could be read, ordered by index.
    package var interfaces: [InterfaceSummary] = []
    /// Page pools that wait for memory in flight and whose interface no longer exists.
    package var orphanedPools: [DetachedPool] = []
    /// Connections that may hold memory of the orphaned pools: any with unread payload.
    package var likelyHolders: [LikelyHolder] = []
    /// The interfaces that could not be read, with the errors.
    package var problems: [(name: String, error: DevmemError)] = []

    /// Creates a list of interfaces.
    package init(interfaces: [InterfaceSummary]) {
        self.interfaces = interfaces
    }

    /// Reads the interfaces of this namespace.
    ///
    /// - Parameter all: whether to include virtual interfaces.
    /// - Throws: `DevmemError` with the kernel's answer.
    package init(all: Bool) throws(DevmemError) {
        let pools = try pagePools()
        let entries = try steeredNICs()
        for link in try links() {
            do throws(DevmemError) {
                let summary = try InterfaceSummary(link, pools: pools, steering: entries)
                if all || !summary.isVirtual { interfaces.append(summary) }
            } catch {
                // The interface may have been removed since the list was read.
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

package import DevmemCore
/// An interface in depth: its queues and all that feeds, steers and holds them.
package struct InterfaceState: Sendable {
    /// The interface at a glance.
    package var summary: InterfaceSummary
    /// Its addresses.
    package var addresses: [IPAddress]
    /// Its settings.
    package var settings: NICSnapshot
    /// Its queues, receive first; none while it is down.
    package var queues: [QueueState]
    /// Page pools in use of which it cannot be told which queue they feed.
    package var unassignedPools: [PagePoolInfo]
    /// The dma-bufs bound to its queues.
    package var bindings: [BindingState]
    /// Connections that may hold the memory of its detached pools.
    package var likelyHolders: [LikelyHolder]

    /// Makes a state from its values.
    package init(
        summary: InterfaceSummary, addresses: [IPAddress], settings: NICSnapshot,
        queues: [QueueState], unassignedPools: [PagePoolInfo] = [],
        bindings: [BindingState] = [], likelyHolders: [LikelyHolder] = []
    ) {
        self.summary = summary
        self.addresses = addresses
        self.settings = settings
        self.queues = queues
        self.unassignedPools = unassignedPools
        self.bindings = bindings
        self.likelyHolders = likelyHolders
    }

    /// Reads an interface's state. The kernel tells it piece by piece, so what changes meanwhile
    /// may be in one and not in another.
    ///
    /// - Throws: `DevmemError` as the kernel answers.
    package init(of interface: NetworkInterface) throws(DevmemError) {
        let pools = try pagePools()
        guard let link = try links(index: interface.index).first else {
            throw DevmemError(.malformed, call: "read the link of \(interface.name)")
        }
        let summary = try InterfaceSummary(
            link, pools: pools, steering: try steeredNICs())
        let settings = try NICSnapshot(of: interface)
        let addresses = try interface.addresses
        let joined = joinQueues(
            summary.queues, napis: try napiInstances(ofInterface: interface.index),
            pools: pools.filter { $0.interface == interface.index },
            statistics: try queueStatistics(ofInterface: interface.index) ?? [],
            contexts: settings.contexts, rules: settings.rules)
        self.init(
            summary: summary, addresses: addresses, settings: settings, queues: joined.queues,
            unassignedPools: joined.unassigned)
        findHolders()
    }

    /// Looks through procfs where there is something to find, as that takes long on a large host.
    private mutating func findHolders() {
        let detached = summary.detachedPools
        guard !detached.isEmpty || !summary.boundQueues.isEmpty else { return }
        let processes = ProcessDescriptors.all()
        bindings = DevmemTools.bindings(
            of: queues, processes: processes, netlinkSockets: genericNetlinkSockets())
        guard !detached.isEmpty else { return }
        likelyHolders = DevmemTools.likelyHolders(
            addresses: addresses, ofDevice: detached.contains { $0.pool.dmabufID != nil },
            sockets: TCPSocket.all(), processes: processes)
    }
}

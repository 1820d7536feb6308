package import DevmemCore
/// The detailed state of an interface: its queues with their page pools, steering and bindings.
package struct InterfaceState: Sendable {
    /// The summary.
    package var summary: InterfaceSummary
    /// Its addresses.
    package var addresses: [IPAddress]
    /// Its settings.
    package var settings: NICSnapshot
    /// Its queues, receive queues first; none while it is down.
    package var queues: [QueueState]
    /// Active page pools that cannot be assigned to a queue.
    package var unassignedPools: [PagePoolInfo]
    /// The dma-bufs bound to its queues.
    package var bindings: [BindingState]
    /// Connections that may hold memory of its detached pools.
    package var likelyHolders: [LikelyHolder]

    /// Creates a state from its values.
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

    /// Reads the state of an interface. This takes several requests, so a concurrent change may
    /// show in only some of the values.
    ///
    /// - Throws: `DevmemError` with the kernel's answer.
    package init(of interface: NetworkInterface) throws(DevmemError) {
        let pools = try pagePools()
        guard let link = try links(index: interface.index).first else {
            throw DevmemError(.malformed, call: "read the link of \(interface.name)")
        }
        var processes = ProcessSearch()
        try self.init(
            InterfaceSummary(link, pools: pools, steering: try steeredNICs()), pools: pools,
            processes: &processes)
    }

    /// Reads what a summary does not contain.
    ///
    /// - Throws: `DevmemError` with the kernel's answer.
    init(
        _ summary: InterfaceSummary, pools: [PagePoolInfo], processes: inout ProcessSearch
    ) throws(DevmemError) {
        let interface = try NetworkInterface(named: summary.link.name)
        let settings = try NICSnapshot(of: interface)
        let addresses = try interface.addresses
        var joined = joinQueues(
            summary.queues, napis: try napiInstances(ofInterface: interface.index),
            pools: pools.filter { $0.interface == interface.index },
            statistics: try queueStatistics(ofInterface: interface.index) ?? [],
            contexts: settings.contexts, rules: settings.rules)
        if summary.link.isNetkit {
            let lessors = try lessors(ofInterface: interface.index)
            for place in joined.queues.indices where joined.queues[place].info.type == .rx {
                joined.queues[place].lessor = lessors[joined.queues[place].info.id]
            }
        }
        self.init(
            summary: summary, addresses: addresses, settings: settings, queues: joined.queues,
            unassignedPools: joined.unassigned)
        findHolders(among: &processes)
    }

    /// Searches procfs, but only if there is something to find: it takes long on a large host.
    private mutating func findHolders(among search: inout ProcessSearch) {
        let detached = summary.detachedPools
        guard !detached.isEmpty || !summary.boundQueues.isEmpty else { return }
        let processes = search.all()
        bindings = DevmemTools.bindings(
            of: queues, processes: processes, netlinkSockets: genericNetlinkSockets())
        guard !detached.isEmpty else { return }
        likelyHolders = DevmemTools.likelyHolders(
            addresses: addresses, ofDevice: detached.contains { $0.pool.dmabufID != nil },
            sockets: TCPSocket.all(), processes: processes)
    }
}

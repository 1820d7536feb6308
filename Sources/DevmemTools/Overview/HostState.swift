package import DevmemCore

/// The detailed state of the interfaces of a network namespace, and what interfaces that are gone
/// have left behind.
package struct HostState: Sendable {
    /// The interfaces that could be read, ordered by index.
    package var interfaces: [InterfaceState] = []
    /// Page pools that wait for memory in flight and whose interface no longer exists.
    package var orphanedPools: [DetachedPool] = []
    /// Connections that may hold memory of the orphaned pools: any with unread payload.
    package var likelyHolders: [LikelyHolder] = []
    /// The number of steering journals whose interface no longer exists.
    package var orphanedJournals = 0
    /// The interfaces that could not be read, with the errors.
    package var problems: [(name: String, error: DevmemError)] = []

    /// Creates a state from its interfaces.
    package init(interfaces: [InterfaceState]) {
        self.interfaces = interfaces
    }

    /// Reads the state of one interface, or of those of this namespace.
    ///
    /// - Parameters:
    ///   - only: the only interface to read; nil for all.
    ///   - all: whether to include virtual interfaces if none is named.
    /// - Throws: `DevmemError` with the kernel's answer.
    package init(of only: NetworkInterface?, all: Bool) throws(DevmemError) {
        let pools = try pagePools()
        let entries = try steeredNICs()
        var processes = ProcessSearch()
        for link in try links(index: only?.index) {
            do throws(DevmemError) {
                let summary = try InterfaceSummary(link, pools: pools, steering: entries)
                guard only != nil || all || !summary.isVirtual else { continue }
                interfaces.append(
                    try InterfaceState(summary, pools: pools, processes: &processes))
            } catch {
                // The interface may have been removed since the list was read.
                if (try? links(index: link.index)) != nil {
                    problems.append((link.name, error))
                }
            }
        }
        orphanedJournals = entries.count { $0.interface == nil && $0.hasJournal }
        orphanedPools = DetachedPool.all(in: pools.filter { $0.interface == nil })
        guard !orphanedPools.isEmpty else { return }
        likelyHolders = DevmemTools.likelyHolders(
            addresses: nil, ofDevice: orphanedPools.contains { $0.pool.dmabufID != nil },
            sockets: TCPSocket.all(), processes: processes.all())
    }
}

/// The processes of this host, which are searched for at most once.
struct ProcessSearch {
    private var found: [ProcessDescriptors]?

    /// Returns the processes whose descriptors are visible.
    mutating func all() -> [ProcessDescriptors] {
        let processes = found ?? ProcessDescriptors.all()
        found = processes
        return processes
    }
}

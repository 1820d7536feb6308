import DevmemCore

/// Formats the state of a host as metrics, in the text exposition format of Prometheus. Pure.
///
/// - Parameters:
///   - host: the state.
///   - version: the version of this program.
/// - Returns: metric families, each with its help, type and samples.
package func prometheusText(of host: HostState, version: String) -> String {
    var build = MetricFamily("devmemtcp_build_info", "Version of devmemtcp. Always 1.")
    build.add(1, ["version": version])
    return
        ([build] + interfaceMetrics(host) + steeringMetrics(host) + queueMetrics(host.interfaces)
        + bindingMetrics(host.interfaces) + poolMetrics(host.interfaces) + leftMetrics(host))
        .map(\.text).joined()
}

private func interfaceMetrics(_ host: HostState) -> [MetricFamily] {
    var readable = MetricFamily(
        "devmemtcp_interface_readable",
        "Whether the state of the interface could be read. If it is 0, the other metrics are absent."
    )
    var info = MetricFamily(
        "devmemtcp_interface_info", "Driver and device of the interface. Always 1.")
    var isUp = MetricFamily(
        "devmemtcp_interface_up", "Whether the interface is administratively up.")
    var carrier = MetricFamily(
        "devmemtcp_interface_carrier", "Whether the driver reports a carrier.")
    var speed = MetricFamily(
        "devmemtcp_interface_speed_bytes_per_second", "Speed of the link, if it is known.")
    var mtu = MetricFamily("devmemtcp_interface_mtu_bytes", "MTU of the interface.")
    var split = MetricFamily(
        "devmemtcp_interface_header_split", "Whether header split (tcp-data-split) is on.")
    var threshold = MetricFamily(
        "devmemtcp_interface_header_split_threshold_bytes",
        "Packets up to this size are not split (hds-thresh).")
    var queues = MetricFamily("devmemtcp_interface_queues", "Queues in use.")
    var bound = MetricFamily(
        "devmemtcp_interface_bound_queues", "Receive queues that are bound to a dma-buf.")
    var rules = MetricFamily("devmemtcp_interface_flow_rules", "Flow rules of the NIC.")
    var capacity = MetricFamily(
        "devmemtcp_interface_flow_rule_capacity",
        "The most flow rules that the NIC can have, if it is known.")
    var contexts = MetricFamily(
        "devmemtcp_interface_rss_contexts", "RSS contexts beside the main one.")
    for state in host.interfaces {
        let summary = state.summary
        let link = summary.link
        let name = link.name
        readable.add(true, ["interface": name])
        info.add(
            1,
            [
                "interface": name, "driver": summary.driver, "kind": link.kind,
                "device": link.parentDevice,
            ])
        isUp.add(link.isUp, ["interface": name])
        carrier.add(link.hasCarrier, ["interface": name])
        speed.add(summary.speed.map { UInt64($0) * 125_000 }, ["interface": name])
        mtu.add(link.mtu.map { UInt64($0) }, ["interface": name])
        if let setting = summary.rings.headerSplit {
            split.add(setting == .on, ["interface": name])
        }
        threshold.add(summary.rings.splitThreshold.map { UInt64($0) }, ["interface": name])
        for type in [QueueType.rx, .tx] {
            queues.add(
                count: summary.queues.count { $0.type == type },
                ["interface": name, "type": "\(type)"])
        }
        bound.add(count: summary.boundQueues.count, ["interface": name])
        rules.add(count: state.settings.rules.count, ["interface": name])
        capacity.add(
            state.settings.ruleTable?.capacity.map { UInt64($0) }, ["interface": name])
        contexts.add(
            count: state.settings.contexts.count { $0.id != 0 }, ["interface": name])
    }
    for problem in host.problems { readable.add(false, ["interface": problem.name]) }
    return [
        readable, info, isUp, carrier, speed, mtu, split, threshold, queues, bound, rules, capacity,
        contexts,
    ]
}

private func steeringMetrics(_ host: HostState) -> [MetricFamily] {
    var state = MetricFamily(
        "devmemtcp_steering_state",
        "State of the steering of the interface: 1 for the one that applies, 0 for the others.")
    var info = MetricFamily(
        "devmemtcp_steering_info", "Name and maker of the steering in the journal. Always 1.")
    var queues = MetricFamily(
        "devmemtcp_steering_queues", "Queues that the steering in the journal serves.")
    var changes = MetricFamily(
        "devmemtcp_steering_changes", "Changes in the journal that are yet to be undone.")
    var orphans = MetricFamily(
        "devmemtcp_orphaned_journals", "Steering journals of interfaces that are gone.")
    for interface in host.interfaces {
        let name = interface.summary.link.name
        let steering = interface.summary.steering
        let current = SteeringState(steering)
        for one in SteeringState.allCases {
            state.add(one == current, ["interface": name, "state": one.rawValue])
        }
        let journal = steering?.journal
        changes.add(count: journal?.changes.count ?? 0, ["interface": name])
        queues.add(count: journal?.queues.count ?? 0, ["interface": name])
        guard let journal else { continue }
        info.add(
            1, ["interface": name, "name": journal.name ?? "", "owner": journal.owner.command])
    }
    orphans.add(count: host.orphanedJournals, [:])
    return [state, info, queues, changes, orphans]
}

/// The state of a NIC's steering, as a metric names it.
enum SteeringState: String, CaseIterable {
    /// The NIC is not steered.
    case none
    /// A process steers it.
    case inUse = "in_use"
    /// Steering is applied until it is restored.
    case applied
    /// A dead process left it steered.
    case left
    /// The journal is of an earlier boot.
    case stale
    /// The journal cannot be read.
    case unreadable

    init(_ steering: SteeredNIC?) {
        self =
            if let steering, steering.problem != nil {
                steering.isFromEarlierBoot ? .stale : .unreadable
            } else if steering?.journal?.phase == .kept {
                .applied
            } else if steering?.holder != nil {
                .inUse
            } else {
                steering?.journal == nil ? .none : .left
            }
    }
}

private func queueMetrics(_ interfaces: [InterfaceState]) -> [MetricFamily] {
    var occupant = MetricFamily(
        "devmemtcp_queue_occupant_info",
        "What uses the queue: dma-buf, io_uring, AF_XDP or lease. Absent if nothing does, else 1.")
    var entries = MetricFamily(
        "devmemtcp_queue_rss_entries", "Entries of the main RSS table that lead to the queue.")
    var contexts = MetricFamily(
        "devmemtcp_queue_rss_contexts", "Other RSS contexts that lead to the queue.")
    var rules = MetricFamily(
        "devmemtcp_queue_flow_rules", "Flow rules that lead to the queue.")
    var counters = queueCounterHelp.map { name, help in
        MetricFamily(
            "devmemtcp_queue_\(name.replacing("-", with: "_"))_total", help, .counter)
    }
    for state in interfaces {
        let name = state.summary.link.name
        for queue in state.queues {
            let info = queue.info
            let (id, type) = ("\(info.id)", "\(info.type)")
            for (kind, binding) in occupants(of: info) {
                occupant.add(
                    1,
                    [
                        "interface": name, "queue": id, "type": type, "occupant": kind,
                        "binding": binding,
                    ])
            }
            for index in counters.indices {
                counters[index].add(
                    queue.counters[queueCounterHelp[index].name], ["interface": name, "queue": id])
            }
            guard info.type == .rx else { continue }
            entries.add(count: queue.rssEntries, ["interface": name, "queue": id])
            contexts.add(count: queue.contexts.count, ["interface": name, "queue": id])
            rules.add(count: queue.rules.count, ["interface": name, "queue": id])
        }
    }
    return [occupant, entries, contexts, rules] + counters
}

/// Returns what uses a queue, with the id of the binding if it is a dma-buf.
private func occupants(of queue: QueueInfo) -> [(kind: String, binding: String?)] {
    var found: [(String, String?)] = []
    if let id = queue.dmabufID { found.append(("dma-buf", "\(id)")) }
    if queue.hasIOUring { found.append(("io_uring", nil)) }
    if queue.hasXSK { found.append(("AF_XDP", nil)) }
    if queue.lease != nil { found.append(("lease", nil)) }
    return found
}

private func bindingMetrics(_ interfaces: [InterfaceState]) -> [MetricFamily] {
    var bindings = MetricFamily(
        "devmemtcp_interface_bindings", "dma-bufs that are bound to receive queues.")
    var queues = MetricFamily(
        "devmemtcp_binding_queues", "Receive queues that the dma-buf is bound to.")
    var holders = MetricFamily(
        "devmemtcp_binding_holder_dmabuf_bytes",
        "dma-bufs of a process that may own the binding, by what made them; 0 if their size is unknown."
    )
    for state in interfaces {
        let name = state.summary.link.name
        bindings.add(count: state.bindings.count, ["interface": name])
        for binding in state.bindings {
            let id = "\(binding.dmabufID)"
            queues.add(count: binding.queues.count, ["interface": name, "binding": id])
            for holder in binding.likelyHolders {
                let made = Dictionary(grouping: holder.dmabufs) { $0.exporter ?? "" }
                for (exporter, dmabufs) in made.sorted(by: { $0.key < $1.key }) {
                    holders.add(
                        dmabufs.compactMap(\.bytes).saturatingSum,
                        [
                            "interface": name, "binding": id, "process": holder.process.name,
                            "pid": "\(holder.process.pid)", "exporter": exporter,
                        ])
                }
            }
        }
    }
    return [bindings, queues, holders]
}

private func poolMetrics(_ interfaces: [InterfaceState]) -> [MetricFamily] {
    var bytes = MetricFamily(
        "devmemtcp_page_pool_in_flight_bytes",
        "Memory of the page pool that the NIC, sockets or users hold.")
    var buffers = MetricFamily(
        "devmemtcp_page_pool_in_flight_buffers",
        "Pages, or buffers of device memory, that the NIC, sockets or users hold.")
    var queues = MetricFamily(
        "devmemtcp_page_pool_queue_info", "Receive queue that the page pool feeds. Always 1.")
    for state in interfaces {
        let name = state.summary.link.name
        for queue in state.queues {
            for pool in queue.pools {
                queues.add(
                    1, ["interface": name, "pool": "\(pool.id)", "queue": "\(queue.info.id)"])
            }
        }
        // Several queues may share a pool.
        for pool in state.queues.flatMap(\.pools) + state.unassignedPools {
            let provider =
                pool.dmabufID != nil ? "dma-buf" : pool.hasIOUring ? "io_uring" : "host"
            let binding = pool.dmabufID.map { "\($0)" }
            bytes.add(
                pool.inFlightBytes,
                [
                    "interface": name, "pool": "\(pool.id)", "provider": provider,
                    "binding": binding,
                ])
            buffers.add(
                pool.inFlight,
                [
                    "interface": name, "pool": "\(pool.id)", "provider": provider,
                    "binding": binding,
                ])
        }
    }
    return [bytes, buffers, queues]
}

/// Returns the metrics of page pools that cannot be freed.
private func leftMetrics(_ host: HostState) -> [MetricFamily] {
    var pools = MetricFamily(
        "devmemtcp_detached_page_pools",
        "Page pools that the driver has given up and the kernel cannot free.")
    var bytes = MetricFamily(
        "devmemtcp_detached_page_pool_in_flight_bytes", "Memory in flight of detached page pools.")
    var age = MetricFamily(
        "devmemtcp_detached_page_pool_age_seconds",
        "Time since the oldest of the detached page pools was detached.")
    var orphans = MetricFamily(
        "devmemtcp_orphaned_page_pools", "Detached page pools of interfaces that are gone.")
    var orphanedBytes = MetricFamily(
        "devmemtcp_orphaned_page_pool_in_flight_bytes", "Memory in flight of orphaned page pools.")
    var orphanedAge = MetricFamily(
        "devmemtcp_orphaned_page_pool_age_seconds",
        "Time since the oldest of the orphaned page pools was detached.")
    var holders = MetricFamily(
        "devmemtcp_likely_holder_unread_bytes",
        "Unread payload of a process that may hold memory of detached or orphaned page pools.")
    for state in host.interfaces {
        let name = state.summary.link.name
        let detached = state.summary.detachedPools
        pools.add(count: detached.count, ["interface": name])
        bytes.add(
            detached.compactMap(\.pool.inFlightBytes).saturatingSum, ["interface": name])
        age.add(detached.map(\.seconds).max() ?? 0, ["interface": name])
        add(state.likelyHolders, of: name, to: &holders)
    }
    orphans.add(count: host.orphanedPools.count, [:])
    orphanedBytes.add(host.orphanedPools.compactMap(\.pool.inFlightBytes).saturatingSum, [:])
    orphanedAge.add(host.orphanedPools.map(\.seconds).max() ?? 0, [:])
    add(host.likelyHolders, of: nil, to: &holders)
    return [pools, bytes, age, orphans, orphanedBytes, orphanedAge, holders]
}

/// Adds a sample for each process and reason, as a process may have any number of connections.
private func add(
    _ holders: [LikelyHolder], of interface: String?, to family: inout MetricFamily
) {
    struct Key: Hashable {
        var process: ProcessName?
        var reason: LikelyHolder.Reason
    }
    let groups = Dictionary(grouping: holders) { Key(process: $0.process, reason: $0.reason) }
    let sorted = groups.sorted {
        ($0.key.process?.pid ?? 0, $0.key.reason.rawValue)
            < ($1.key.process?.pid ?? 0, $1.key.reason.rawValue)
    }
    for (key, connections) in sorted {
        family.add(
            connections.map(\.unreadBytes).saturatingSum,
            [
                "interface": interface, "process": key.process?.name,
                "pid": key.process.map { "\($0.pid)" }, "reason": key.reason.rawValue,
            ])
    }
}

/// The kernel's counters of queues, by their names in Documentation/netlink/specs/netdev.yaml.
let queueCounterHelp: [(name: String, help: String)] = [
    ("rx-packets", "Packets that the stack received from the queue."),
    ("rx-bytes", "Bytes that the stack received from the queue."),
    ("rx-alloc-fail", "Buffers that could not be allocated, so that the queue may have starved."),
    ("rx-hw-drops", "Packets that entered the NIC and never left it for the host."),
    ("rx-hw-drop-overruns", "Packets that the NIC dropped because no buffer was free."),
    ("rx-hw-drop-ratelimits", "Packets that the NIC dropped because they exceeded a rate."),
    ("rx-csum-complete", "Packets with a checksum over all of the packet."),
    ("rx-csum-unnecessary", "Packets whose checksums the NIC has verified."),
    ("rx-csum-none", "Packets whose checksums the NIC did not verify."),
    ("rx-csum-bad", "Packets with a wrong checksum."),
    ("rx-hw-gro-packets", "Packets that hardware GRO joined others to."),
    ("rx-hw-gro-bytes", "Bytes of packets that hardware GRO joined others to."),
    ("rx-hw-gro-wire-packets", "Packets on the wire that hardware GRO joined."),
    ("rx-hw-gro-wire-bytes", "Bytes on the wire of packets that hardware GRO joined."),
    ("tx-packets", "Packets that the stack sent through the queue."),
    ("tx-bytes", "Bytes that the stack sent through the queue."),
    ("tx-hw-drops", "Packets that the NIC did not send."),
    ("tx-hw-drop-errors", "Packets that the NIC did not send because they were invalid."),
    ("tx-hw-drop-ratelimits", "Packets that the NIC did not send because they exceeded a rate."),
    ("tx-csum-none", "Packets that needed no checksum of the NIC."),
    ("tx-needs-csum", "Packets whose checksum the NIC computed."),
    ("tx-hw-gso-packets", "Packets that the NIC segmented."),
    ("tx-hw-gso-bytes", "Bytes of packets that the NIC segmented."),
    ("tx-hw-gso-wire-packets", "Segments that the NIC made of larger packets."),
    ("tx-hw-gso-wire-bytes", "Bytes of segments that the NIC made of larger packets."),
    ("tx-stop", "Times that the driver stopped the queue because it was full."),
    ("tx-wake", "Times that the driver started the queue again after it was full."),
]

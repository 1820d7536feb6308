import DevmemCore
import DevmemTools

private let unseenProcess = "a process not visible from here"

/// Formats a list of interfaces as a table, followed by the page pools that cannot be freed.
func text(of list: InterfaceList) -> String {
    var table = TextTable([
        "interface", "driver", "link", "speed", "queues#", "split", "hds-thresh#", "bound",
        "steering",
    ])
    for summary in list.interfaces {
        table.add([
            summary.link.name, summary.driver ?? summary.link.kind, linkState(summary.link),
            summary.speed.map(speedText), queueCount(summary.queues),
            summary.rings.headerSplit.map { "\($0)" },
            summary.rings.splitThreshold.map { "\($0)" },
            summary.boundQueues.isEmpty ? nil : queueList(summary.boundQueues),
            steeringText(summary.steering),
        ])
    }
    var lines = list.interfaces.isEmpty ? ["no interface with a device"] : table.lines
    for summary in list.interfaces where !summary.detachedPools.isEmpty {
        lines.append("\(summary.link.name): \(brief(summary.detachedPools))")
    }
    if !list.orphanedPools.isEmpty {
        lines.append("of interfaces that are gone: \(brief(list.orphanedPools))")
        lines += holderLines(list.likelyHolders).map { "  \($0)" }
    }
    return lines.map { "\($0)\n" }.joined()
}

/// Formats the state of an interface as text.
func text(of state: InterfaceState) -> String {
    let summary = state.summary
    let link = summary.link
    let head = [
        summary.driver ?? link.kind, link.parentDevice, linkState(link),
        summary.speed.map(speedText), link.mtu.map { "MTU \($0)" }, link.addressText,
    ]
    var lines: [String] = []
    if !state.addresses.isEmpty {
        lines.append("addresses: " + state.addresses.map(\.description).joined(separator: ", "))
    }
    lines +=
        SteeringReport(
            interface: link.name, settings: state.settings, entry: summary.steering
        ).lines
    lines += state.bindings.map { binding in
        let holders = binding.likelyHolders.map { holder in
            let memory = holder.dmabufs.map { dmabufText($0) }
            return "\(holder.process.name) ("
                + (["pid \(holder.process.pid)"] + memory).joined(separator: ", ") + ")"
        }
        return
            "dma-buf \(binding.dmabufID): bound to queues \(queueList(binding.queues)), likely by "
            + (holders.isEmpty ? unseenProcess : holders.joined(separator: ", "))
    }
    lines += queueTable(state.queues, slots: state.settings.indirection.count)
    lines += state.unassignedPools.map { "page pool \(poolText($0)); queue unknown" }
    if !summary.detachedPools.isEmpty {
        lines.append("page pools that cannot be freed:")
        lines += summary.detachedPools.map {
            "  page pool \(poolText($0.pool)); detached \($0.seconds) s ago"
        }
        lines += holderLines(state.likelyHolders).map { "  \($0)" }
    }
    return "\(link.name): \(head.compactMap { $0 }.joined(separator: ", "))\n"
        + lines.map { "  \($0)\n" }.joined()
}

private func dmabufText(_ dmabuf: HeldDmabuf) -> String {
    let size = dmabuf.bytes.map { ByteCount.text($0) } ?? "a dma-buf"
    return dmabuf.exporter.map { "\(size) of \($0)" } ?? size
}

/// Formats queues as a table; `slots` is the size of the main RSS indirection table.
private func queueTable(_ queues: [QueueState], slots: Int) -> [String] {
    guard !queues.isEmpty else { return ["queues: none, as while an interface is down"] }
    var table = TextTable([
        "queue", "NAPI#", "polled by", "held by", "page pools", "in flight#", "RSS#", "steered",
        "packets#", "bytes#", "drops#", "alloc-fail#",
    ])
    for queue in queues {
        let isReceive = queue.info.type == .rx
        table.add([
            "\(queue.info.type) \(queue.info.id)", queue.info.napiID.map { "\($0)" },
            pollerText(queue.napi), occupantText(queue.info, queue.lessor),
            queue.pools.isEmpty ? nil : queue.pools.map { "\($0.id)" }.joined(separator: ","),
            queue.inFlightBytes.map(ByteCount.text),
            isReceive && slots > 0 ? "\(queue.rssEntries)/\(slots)" : nil,
            steeredText(queue), queue.packets.map { "\($0)" }, queue.bytes.map { "\($0)" },
            queue.drops.map { "\($0)" }, queue.allocationFailures.map { "\($0)" },
        ])
    }
    return table.lines
}

/// Says what polls a NAPI instance: its thread and its interrupt.
private func pollerText(_ napi: NAPIInfo?) -> String? {
    let parts = [napi?.pid.map { "pid \($0)" }, napi?.irq.map { "irq \($0)" }].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: " ")
}

/// Lists what occupies a queue, and which one it stands for.
func occupantText(_ queue: QueueInfo, _ lessor: QueueLessor? = nil) -> String? {
    var parts: [String] = []
    if let lessor { parts.append("leased from: queue \(lessor.queue) of \(lessor.interface)") }
    if let id = queue.dmabufID { parts.append("dma-buf \(id)") }
    if queue.hasIOUring { parts.append("io_uring") }
    if queue.hasXSK { parts.append("AF_XDP") }
    if let lease = queue.lease {
        let lessee = lease.lessee?.name ?? "interface \(lease.interface)"
        let namespace = lease.namespace.map { " in netns \($0)" } ?? ""
        parts.append("lease: queue \(lease.queue) of \(lessee)\(namespace)")
    }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
}

private func steeredText(_ queue: QueueState) -> String? {
    let parts = queue.rules.map { "rule \($0)" } + queue.contexts.map { "context \($0)" }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
}

private func poolText(_ pool: PagePoolInfo) -> String {
    let source =
        pool.dmabufID.map { " of dma-buf \($0)" } ?? (pool.hasIOUring ? " of io_uring" : "")
    let count = pool.inFlight.map { "\($0)" } ?? "?"
    return "\(pool.id)\(source): \(count) in flight"
        + (pool.inFlightBytes.map { ", \(ByteCount.text($0))" } ?? "")
}

/// Summarizes detached page pools on one line.
func brief(_ pools: [DetachedPool]) -> String {
    let bytes = pools.compactMap(\.pool.inFlightBytes).saturatingSum
    let oldest = pools.map(\.seconds).max() ?? 0
    return "\(counted(pools.count, "page pool")) that cannot be freed, "
        + "\(ByteCount.text(bytes)) in flight, detached up to \(oldest) s ago"
}

private func holderLines(_ holders: [LikelyHolder]) -> [String] {
    guard !holders.isEmpty else {
        return ["likely holder unknown: no visible connection has unread payload"]
    }
    return holders.map { holder in
        let owner =
            holder.process.map { "\($0.name) (pid \($0.pid))" } ?? unseenProcess
        let why =
            switch holder.reason {
            case .unread: "\(counted(holder.unreadBytes, "byte")) unread"
            case .notAccepted:
                "\(counted(holder.unreadBytes, "byte")) unread in a connection not yet accepted"
            case .deviceMemory: "has an open dma-buf, perhaps with tokens not returned"
            }
        return "likely held by \(owner): \(why), \(holder.local) from \(holder.remote)"
    }
}

/// Returns the state of a link in one or two words.
func linkState(_ link: LinkInfo) -> String {
    link.isUp ? (link.hasCarrier ? "up" : "no carrier") : "down"
}

private func speedText(_ megabits: UInt32) -> String {
    megabits >= 1000 && megabits.isMultiple(of: 100)
        ? "\(fixed(Double(megabits) / 1000, megabits.isMultiple(of: 1000) ? 0 : 1)) Gb/s"
        : "\(megabits) Mb/s"
}

/// Returns one number if there are as many receive as transmit queues, otherwise both.
private func queueCount(_ queues: [QueueInfo]) -> String? {
    let receive = queues.count { $0.type == .rx }
    let transmit = queues.count - receive
    if queues.isEmpty { return nil }
    return receive == transmit ? "\(receive)" : "\(receive) rx, \(transmit) tx"
}

private func steeringText(_ entry: SteeredNIC?) -> String? {
    guard let entry else { return nil }
    guard let steering = SteeringReport.Steering(entry) else {
        return entry.problem == nil ? nil : "its journal cannot be read"
    }
    let queues = " (queues \(queueList(steering.queues)))"
    if let name = steering.name { return "\"\(name)\"\(queues)" }
    if let holder = entry.holder { return "\(holder)\(queues)" }
    return "left by \(steering.owner), pid \(steering.pid)\(queues)"
}

import DevmemCore
/// Checks a NIC. Pure.
///
/// - Parameter facts: what was read.
/// - Returns: the checks of the group nic.
package func checks(of facts: NICFacts) -> [DoctorCheck] {
    var list = CheckList(.nic, interface: facts.device.interface.name)
    if let virtual = facts.device.virtual {
        // The other checks do not apply without queues.
        let name = virtual.nics.first.map { "\(AdvisedCommand(.checkNIC, $0))" }
        list.add(
            "driver", "Driver", .failed, "\(virtual.text), which has no queues of a NIC", fix: name)
        return list.checks
    }
    if facts.device.isNetkit {
        judgeLink(facts, &list)
        judgeLeases(facts, &list)
        judgePagePools(facts, &list)
        return list.checks
    }
    judgeDriver(facts, &list)
    judgeLink(facts, &list)
    judgeHeaderSplit(facts, &list)
    judgeChannels(facts, &list)
    judgeRules(facts, &list)
    judgeXDP(facts, &list)
    judgeSteering(facts, &list)
    judgeFreeQueues(facts, &list)
    judgePagePools(facts, &list)
    judgeDistance(facts, &list)
    judgeGPUs(facts, &list)
    return list.checks
}

private func judgeDriver(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Driver"
    let ask = "; \(AdvisedCommand(.probe, facts.device.interface.name)) asks the kernel"
    guard let driver = facts.device.driver else {
        list.add("driver", title, .unknown, "a virtual interface without a driver\(ask)")
        return
    }
    guard let support = DriverSupport.of(driver) else {
        list.add("driver", title, .unknown, "nothing is known about \(driver)\(ask)")
        return
    }
    let isTooOld =
        support.receive != nil
        && DriverSupport.lackOfReceive(driver, kernel: facts.kernelRelease) != nil
    let verdict: DoctorCheck.Verdict =
        support.receive != nil && support.send != nil && !isTooOld ? .ok : .warning
    list.add(
        "driver", title, verdict,
        "\(driver): \(support.text)"
            + (isTooOld
                ? "; this is Linux \(facts.kernelRelease), too old to receive unless it has backports"
                : "")
            + (verdict == .ok ? "" : ask))
}

private func judgeLink(_ facts: NICFacts, _ list: inout CheckList) {
    let name = facts.shownName
    let title = "Interface"
    guard let isUp = facts.device.isUp else {
        list.add("interface-up", title, .unknown, "sysfs does not say whether it is up")
        return
    }
    list.add(
        "interface-up", title, isUp ? .ok : .failed,
        isUp ? "up" : "down, so there are no queues to bind",
        fix: isUp ? nil : "ip link set \(name) up")
    if isUp {
        let carrier = facts.device.hasCarrier
        let speed = facts.device.speed.map { ", \($0) Mbit/s" } ?? ""
        list.add(
            "carrier", "Link", carrier == true ? .ok : carrier == nil ? .unknown : .warning,
            carrier == true
                ? "there is a link\(speed)"
                : carrier == nil ? "sysfs does not say" : "no link: check the cable and the peer")
    }
    // Not a warning: the MTU depends on the network, not on this host.
    if let mtu = facts.device.mtu { list.add("mtu", "MTU", .ok, "\(mtu) bytes") }
}

/// Checks an interface to which queues of a NIC can be leased. All settings are the NIC's.
private func judgeLeases(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Leased queues"
    let name = facts.device.interface.name
    guard let queues = list.value(of: facts.queues, "leased-queues", title) else { return }
    let leased = queues.map(\.id).filter { $0 != 0 }.sorted()
    if leased.isEmpty {
        list.add(
            "leased-queues", title, .failed, "no queue of a NIC is leased to it",
            fix: "\(AdvisedCommand(.leaseQueue, name))")
    } else {
        list.add(
            "leased-queues", title, .ok,
            "\(queueList(leased)); header split and flow rules are to be set on the NIC")
    }
}

private func judgeHeaderSplit(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Header split"
    guard let rings = list.value(of: facts.rings, "header-split", title) else { return }
    guard let split = rings.headerSplit else {
        // gve_header_split_supported of the kernel's gve_main.c; judgeXDP suggests the fix.
        if facts.device.driver == "gve", case .success(.some) = facts.xdpProgram {
            list.add(
                "header-split", title, .unknown,
                "gve does not report it while an XDP program is attached")
            return
        }
        list.add(
            "header-split", title, .failed,
            "the driver has no tcp-data-split setting; device memory needs a NIC with header split")
        return
    }
    let state =
        switch split {
        case .on: "on"
        case .off: "off; steering turns it on"
        case .unknown: "driver's default; steering turns it on"
        }
    let gro = neededGRO(facts)
    if let gro, !gro.isActive && !gro.isChangeable {
        list.add(
            "header-split", title, .failed,
            "the driver splits headers only with rx-gro-hw, and does not support that")
    } else {
        let too = gro?.isActive == false ? "; also rx-gro-hw, which the driver needs for it" : ""
        list.add("header-split", title, .ok, state + too)
    }
    let threshold =
        switch rings.splitThreshold {
        case .none:
            facts.setsSplitThreshold == false
                ? "this kernel has no such setting" : "the driver has no such setting"
        case .some(0): "0 bytes"
        case .some(let bytes): "\(bytes) bytes; steering sets 0"
        }
    list.add("hds-thresh", "Split threshold", .ok, threshold)
}

/// Returns the state of hardware GRO if the driver needs it for header split; nil if it does not,
/// or if the state cannot be read.
private func neededGRO(_ facts: NICFacts) -> FeatureState? {
    guard headerSplitNeedsGRO(driver: facts.device.driver) else { return nil }
    return try? facts.hardwareGRO.get()
}

private func judgeChannels(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Receive queues"
    guard let channels = list.value(of: facts.channels, "channels", title) else { return }
    var count = 0
    if let channels {
        count = Int(channels.rx) + Int(channels.combined)
    } else if case .success(let queues) = facts.queues {
        count = queues.count
    }
    let enough = count >= minimumQueues
    var fix: String?
    if !enough, case .success(let limits?) = facts.channelLimits {
        let name = facts.shownName
        if limits.combined >= minimumQueues {
            fix = "ethtool -L \(name) combined \(minimumQueues)"
        } else if limits.rx >= minimumQueues {
            fix = "ethtool -L \(name) rx \(minimumQueues)"
        }
    }
    list.add(
        "channels", title, enough ? .ok : .failed,
        enough
            ? "\(count)" : "only \(count); device memory needs one, and so does other traffic",
        fix: fix)
}

private let minimumQueues = 2

private func judgeXDP(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "XDP"
    guard let program = list.value(of: facts.xdpProgram, "xdp", title) else { return }
    guard let program else {
        list.add("xdp", title, .ok, "no program")
        return
    }
    let name = facts.shownName
    let mode =
        switch program.mode {
        case .native: "xdpdrv"
        case .generic: "xdpgeneric"
        case .offloaded: "xdpoffload"
        case .several, .none: "xdp"
        }
    list.add(
        "xdp", title, .failed,
        "program \(program.id) is attached, and cannot read device memory"
            + (facts.xdpHolder.map { "; process \($0) holds it" } ?? ""),
        fix: facts.xdpHolder.map { "kill \($0)" } ?? "ip link set \(name) \(mode) off")
}

private func judgeSteering(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Steering"
    let name = facts.device.interface.name
    guard let state = list.value(of: facts.steering, "steering", title) else { return }
    switch state {
    case .none: list.add("steering", title, .ok, "none")
    case .kept(let made, let queues, _):
        list.add("steering", title, .ok, "\"\(made)\" is applied to queues \(queueList(queues))")
    case .inUse(let holder, let pid, let queues):
        list.add(
            "steering", title, .warning,
            "in use by \(holder)"
                + (queues.isEmpty ? "" : ", queues \(queueList(queues))")
                + "; until that ends, no other process can steer the NIC",
            fix: pid.map { "kill \($0)" })
    case .left(let maker, let changes):
        list.add(
            "steering", title, .warning,
            "\(maker) died and left \(counted(changes, "change")); the next run restores the settings",
            fix: "\(AdvisedCommand(.restore, name))")
    case .earlier(let words):
        list.add(
            "steering", title, .warning,
            "there is a journal, but \(words); the next run drops it",
            fix: "\(AdvisedCommand(.restore, name))")
    case .damaged(let problem):
        list.add(
            "steering", title, .failed, problem,
            fix: "\(AdvisedCommand(.forget, name))")
    }
}

private func judgePagePools(_ facts: NICFacts, _ list: inout CheckList) {
    let title = "Page pools"
    guard let pools = list.value(of: facts.pagePools, "page-pools", title) else { return }
    // Shortly after a queue restart, sockets still hold pages. The kernel also warns only later.
    let stalled = pools.filter { pool in
        pool.detachedAt.map { facts.uptime >= $0.saturatingAdding(stallSeconds) } ?? false
    }
    let bytes = stalled.compactMap(\.inFlightBytes).saturatingSum
    list.add(
        "page-pools", title, stalled.isEmpty ? .ok : .warning,
        stalled.isEmpty
            ? "\(pools.count), none is waiting for pages"
            : "\(stalled.count) of \(pools.count) have been detached for more than \(stallSeconds) s; "
                + "sockets or programs hold \(ByteCount.text(bytes)) of their memory")
}

/// DEFER_WARN_INTERVAL of the kernel's net/core/page_pool.c.
private let stallSeconds: UInt64 = 60

private func judgeDistance(_ facts: NICFacts, _ list: inout CheckList) {
    let device = facts.device
    let place = [device.bus, device.address].compactMap { $0 }.joined(separator: " ")
    list.add(
        "iommu", "IOMMU", .ok,
        device.iommuGroup.map { "group \($0)" + (device.iommuType.map { ", \($0)" } ?? "") }
            ?? "the NIC is not behind an IOMMU")
    let distances = facts.memory.compactMap { memory in
        memory.distance(to: device).map { (memory, $0) }
    }
    let node = device.numaNode.map { ", NUMA node \($0)" } ?? ""
    guard let nearest = distances.map(\.1).min() else {
        list.add(
            "memory-distance", "Distance of memory", .ok,
            "no GPU or accelerator; the NIC is \(place.isEmpty ? "virtual" : place)\(node)")
        return
    }
    list.add(
        "memory-distance", "Distance of memory", nearest < .otherNode ? .ok : .warning,
        distances.map { "\($0.0.kind.rawValue) \($0.0.name) \($0.1.text)" }
            .joined(separator: "; ") + node)
}

/// Says which GPU to use with the NIC: between NUMA nodes, peer-to-peer DMA is slow where it works.
private func judgeGPUs(_ facts: NICFacts, _ list: inout CheckList) {
    guard !facts.gpus.isEmpty else { return }
    let distances = facts.gpus.map { ($0, $0.distance(to: facts.device)) }
    let best = distances.filter(\.0.exportsDmabufs).min { $0.1 < $1.1 }
    list.add(
        "gpu-distance", "Nearest GPU", (best?.1 ?? .otherNode) < .otherNode ? .ok : .warning,
        (best.map { "GPU \($0.0.ordinal) is the best for this NIC" } ?? "none exports dma-bufs")
            + ": "
            + distances.map { "GPU \($0.0.ordinal) is \($0.1.text)" }.joined(separator: ", "))
}

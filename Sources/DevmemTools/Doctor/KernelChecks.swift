import DevmemCore
/// Checks what the kernel's netlink families support. Features are detected by their netlink
/// policy, not by the kernel's version.
func kernelChecks(_ facts: HostFacts) -> [DoctorCheck] {
    var list = CheckList(.kernel)
    judgeNetdev(facts.netdev, &list)
    judgeEthtool(facts.ethtool, &list)
    list.add(
        "io-uring", "Receiving by io_uring", facts.ioUringObstacle == nil ? .ok : .warning,
        facts.ioUringObstacle.map { "the socket engine receives, at more cost: \($0)" }
            ?? "supported"
    )
    return list.checks
}

/// A netlink command or attribute that some kernels lack.
private struct Offer {
    let id: String
    let title: String
    let command: UInt8
    var attribute: UInt16?
    /// The verdict if it is missing.
    let missing: DoctorCheck.Verdict
    /// What is impossible without it, and the kernel release that added it.
    let consequence: String

    func isIn(_ policy: FamilyPolicy) -> Bool {
        guard policy.commands.contains(command) else { return false }
        guard let attribute else { return true }
        return policy.attributes[command]?.contains(attribute) == true
    }
}

private let netdevOffers = [
    Offer(
        id: "bind-rx", title: "Binding for receiving", command: NetdevNumber.Command.bindRx,
        missing: .failed, consequence: "no receiving; Linux 6.12 with CONFIG_NET_DEVMEM has it"),
    Offer(
        id: "bind-tx", title: "Binding for sending", command: NetdevNumber.Command.bindTx,
        missing: .warning, consequence: "no sending; Linux 6.16 has it"),
    Offer(
        id: "queue-get", title: "Queues and their users", command: NetdevNumber.Command.queueGet,
        missing: .failed, consequence: "queues cannot be chosen; Linux 6.8 has it"),
    Offer(
        id: "page-pool-get", title: "Page pools", command: NetdevNumber.Command.pagePoolGet,
        missing: .warning, consequence: "memory still in flight cannot be seen; Linux 6.8 has it"),
    Offer(
        id: "qstats-get", title: "Per-queue counters",
        command: NetdevNumber.Command.queueStatisticsGet, missing: .warning,
        consequence: "drops of a queue cannot be seen; Linux 6.9 has it"),
    Offer(
        id: "rx-page-size", title: "Large receive pages", command: NetdevNumber.Command.bindRx,
        attribute: NetdevNumber.Dmabuf.rxPageSize, missing: .warning,
        consequence: "the NIC only fills single pages; Linux 7.3 has it"),
    Offer(
        id: "queue-create", title: "Queue leases for containers",
        command: NetdevNumber.Command.queueCreate, attribute: NetdevNumber.Queue.lease,
        missing: .warning, consequence: "a container cannot be given queues; Linux 7.1 has it"),
]

private let ethtoolOffers = [
    Offer(
        id: "tcp-data-split", title: "Header split setting",
        command: EthtoolNumber.Command.ringsSet, attribute: RingAttribute.headerSplit,
        missing: .failed, consequence: "header split cannot be turned on; Linux 6.6 has it"),
    Offer(
        id: "hds-thresh-setting", title: "Split threshold setting",
        command: EthtoolNumber.Command.ringsSet, attribute: RingAttribute.splitThreshold,
        missing: .warning,
        consequence: "a driver's own threshold cannot be changed, and the kernel lets header split "
            + "be turned off under bound memory; Linux 6.14 has it"),
]

private func judgeNetdev(_ reading: Reading<FamilyPolicy>, _ list: inout CheckList) {
    let title = "netlink family netdev"
    switch reading {
    case .success(let policy):
        list.add("netdev-family", title, .ok, counted(policy.commands.count, "command"))
        judge(netdevOffers, policy, &list)
    case .failure(let error):
        list.add(
            "netdev-family", title, error.kind == .unsupported ? .failed : .unknown,
            error.description)
    }
}

private func judgeEthtool(_ reading: Reading<FamilyPolicy>, _ list: inout CheckList) {
    let title = "netlink family ethtool"
    switch reading {
    case .success(let policy):
        list.add("ethtool-family", title, .ok, counted(policy.commands.count, "command"))
        judge(ethtoolOffers, policy, &list)
        let changesRSS = policy.commands.isSuperset(of: [
            EthtoolNumber.Command.rssSet, EthtoolNumber.Command.rssCreate,
            EthtoolNumber.Command.rssDelete,
        ])
        // Not a warning: the ioctl does the same, only without extack texts.
        list.add(
            "rss-set", "Changing RSS", .ok,
            changesRSS ? "through netlink" : "through ioctl; Linux 6.17 has it in netlink")
    case .failure(let error):
        list.add(
            "ethtool-family", title, error.kind == .unsupported ? .failed : .unknown,
            error.description)
    }
}

private func judge(_ offers: [Offer], _ policy: FamilyPolicy, _ list: inout CheckList) {
    for offer in offers {
        let isThere = offer.isIn(policy)
        list.add(
            offer.id, offer.title, isThere ? .ok : offer.missing,
            isThere ? "supported" : "not supported by the kernel: \(offer.consequence)")
    }
}

import DevmemCore
import Glibc
import SystemPackage

/// The properties of the host and the NIC before any case runs.
struct ValidationFacts {
    let interface: NetworkInterface
    let isAdmin: Bool
    let netdev: FamilyPolicy?
    let ethtool: FamilyPolicy?
    /// The NIC's settings.
    let snapshot: NICSnapshot
    /// The names of the active features.
    let features: Set<String>
    /// The free receive queues.
    let freeQueues: [UInt32]
    let hasUdmabuf: Bool
    /// Why the driver probably cannot receive into device memory; nil if it can or is not known.
    let lackOfReceive: String?

    init(of interface: NetworkInterface) throws(DevmemError) {
        self.interface = interface
        isAdmin = try hasNetAdmin()
        netdev = try? FamilyPolicy(of: NetdevNumber.familyName)
        ethtool = try? FamilyPolicy(of: EthtoolNumber.familyName)
        snapshot = try NICSnapshot(of: interface)
        features = try EthtoolNetlink(interface).activeFeatures()
        freeQueues =
            QueueChooser(snapshot: snapshot, interface: interface.name, applied: nil).free
        hasUdmabuf = (try? Descriptor.open(udmabufPath, O_RDWR)) != nil
        lackOfReceive = interface.driver.flatMap {
            DriverSupport.lackOfReceive($0, kernel: HostIdentity.current.kernel)
        }
    }

    /// Returns why a precondition is not met; nil if it is.
    func reason(against need: CaseNeed, _ peers: ValidationPeers) -> String? {
        let name = interface.name
        return switch need {
        case .privilege: isAdmin ? nil : "needs CAP_NET_ADMIN: run as root"
        case .bindReceive: Self.reason(against: .receive, netdev)
        case .bindTransmit: Self.reason(against: .transmit, netdev)
        case .ioUring:
            ZerocopySupport.obstacle().map {
                "io_uring cannot receive into device memory: \($0)"
            }
        case .pageSize: Self.reason(against: .pageSize, netdev)
        case .splitHeld: Self.reasonAgainstHoldingSplit(ethtool)
        case .headerSplit:
            snapshot.rings.headerSplit == nil ? "\(name) has no tcp-data-split setting" : nil
        case .splitThreshold:
            ethtool?.setsSplitThreshold == false
                ? "this kernel lacks hds-thresh: needs Linux 6.14"
                : snapshot.rings.splitThreshold == nil
                    ? "\(name) has no hds-thresh setting"
                    : snapshot.rings.splitThresholdLimit == 0
                        ? "\(name) supports only hds-thresh 0" : nil
        case .freeQueues(let count):
            freeQueues.count >= count && snapshot.receiveQueues.count > count
                ? nil
                : "needs \(counted(count, "free receive queue")), and of those of \(name) "
                    + (freeQueues.isEmpty ? "none" : queueList(freeQueues))
                    + " can be used"
        case .flowRules:
            snapshot.ruleTable != nil
                && snapshot.ntuple.map { $0.isActive || $0.isChangeable } == true
                ? nil : "\(name) has no flow rules"
        case .spreading: snapshot.indirection.isEmpty ? "\(name) has no RSS table" : nil
        case .udmabuf: hasUdmabuf ? nil : "\(udmabufPath) cannot be opened"
        case .hugePages(let bytes): Self.reasonAgainstHugePages(bytes)
        case .remote: peers.reason(ipv6: peers.prefersIPv6, mayEcho: false)
        case .peer(let isIPv6): peers.reason(ipv6: isIPv6 ?? peers.prefersIPv6, mayEcho: true)
        }
    }

    /// Returns why a kernel cannot serve requests that use a feature; nil if it can. A policy that
    /// cannot be read has nothing. Pure.
    static func reason(against feature: BindFeature, _ netdev: FamilyPolicy?) -> String? {
        netdev.map(feature.isIn) == true ? nil : "\(feature.lack): \(feature.remedy)"
    }

    /// Returns why a kernel does not check header split when it binds memory, and afterwards; nil if
    /// it does. The checks came with the threshold. Pure.
    static func reasonAgainstHoldingSplit(_ ethtool: FamilyPolicy?) -> String? {
        ethtool?.setsSplitThreshold == false
            ? "this kernel does not check header split of bound queues: needs Linux 6.14" : nil
    }

    private static func reasonAgainstHugePages(_ bytes: UInt64) -> String? {
        let fields = lines(of: "/proc/meminfo").first { $0.hasPrefix("HugePages_Free:") }?
            .split(separator: " ")
        let free = fields.flatMap { $0.last }.flatMap { UInt64($0) } ?? 0
        let needed = bytes / Udmabuf.hugePageSize
        return free >= needed
            ? nil
            : "needs \(needed) free huge pages, has \(free): sysctl vm.nr_hugepages=\(needed)"
    }
}

/// The operations that steering performs on one NIC.
///
/// Each throws `DevmemError` if the kernel or the driver refuses.
protocol NICControl: ~Copyable {
    /// The interface's name, for messages.
    var name: String { get }
    /// The driver's name, if known.
    var driver: String? { get }

    /// Whether the interface is up.
    func isUp() throws(DevmemError) -> Bool

    func rings() throws(DevmemError) -> RingSettings
    func channels() throws(DevmemError) -> ChannelCounts?
    /// Sets header split, its threshold, the ring sizes, or any of them.
    func setRings(_ request: RingRequest) throws(DevmemError)
    /// Sets rings and returns whether the kernel saw a change; nil if that cannot be determined.
    func setRingsDetectingChange(_ request: RingRequest) throws(DevmemError) -> Bool?
    /// Returns whether a user turned header split on, without changing a setting, while the
    /// threshold is not 0; nil if it cannot be determined.
    func isSplitUserSet(probing queue: UInt32) -> Bool?

    func contexts() throws(DevmemError) -> [RSSContext]
    /// Sets the main RSS table; an empty table requests the driver's default.
    func setIndirection(_ table: [UInt32]) throws(DevmemError)
    func createContext(_ table: [UInt32]) throws(DevmemError) -> UInt32
    func deleteContext(_ id: UInt32) throws(DevmemError)

    func feature(_ feature: SteeringFeature) throws(DevmemError) -> FeatureState
    func setFeature(_ feature: SteeringFeature, _ on: Bool) throws(DevmemError)

    func ruleTable() throws(DevmemError) -> FlowRuleTable?
    func rule(at location: UInt32) throws(DevmemError) -> InstalledRule?
    /// Inserts a rule at a location and returns the location that the driver gave it.
    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32
    func deleteRule(at location: UInt32) throws(DevmemError)
}

extension NICControl where Self: ~Copyable {
    /// Turns a feature on or off. If the feature is already wanted but not active, the kernel would
    /// not ask the driver again (`ethnl_set_features` of net/ethtool/features.c), so the opposite
    /// is requested first.
    func ask(for feature: SteeringFeature, _ on: Bool) throws(DevmemError) {
        let now = try self.feature(feature)
        if now.isWanted == on && now.isActive != on { try setFeature(feature, !on) }
        try setFeature(feature, on)
    }
}

/// The kernel interface through which RSS is changed.
package enum RSSInterface: String, Sendable, CaseIterable {
    /// Netlink where the kernel supports it, otherwise the ioctl.
    case automatic = "auto"
    /// ethtool netlink, since Linux 6.17.
    case netlink
    /// The SIOCETHTOOL ioctl.
    case ioctl
}

/// A NIC of this host, accessed through ethtool netlink and, for operations without a netlink form,
/// the ioctl.
struct EthtoolNIC: NICControl, ~Copyable {
    let name: String
    let driver: String?
    private let interface: NetworkInterface
    private let netlink: EthtoolNetlink
    private let ioctl: EthtoolIoctl
    private let changesRSSOverNetlink: Bool

    init(_ interface: NetworkInterface, rss: RSSInterface = .automatic) throws(DevmemError) {
        let netlink = try EthtoolNetlink(interface)
        let ioctl = try EthtoolIoctl(interface)
        changesRSSOverNetlink = try Self.choose(rss, netlink)
        name = interface.name
        driver = interface.driver
        self.interface = interface
        self.ioctl = ioctl
        self.netlink = netlink
    }

    /// Returns whether to change RSS over netlink.
    private static func choose(
        _ wanted: RSSInterface, _ netlink: borrowing EthtoolNetlink
    ) throws(DevmemError) -> Bool {
        if wanted == .ioctl { return false }
        let isThere = try netlink.changesRSS()
        guard isThere || wanted == .automatic else {
            throw DevmemError(
                .unsupported, call: "change RSS over netlink", message: "this kernel cannot",
                advice: "Linux 6.17 can; the ioctl works on all")
        }
        return isThere
    }

    func isUp() throws(DevmemError) -> Bool {
        try links(index: interface.index).first?.isUp ?? false
    }

    func rings() throws(DevmemError) -> RingSettings { try netlink.rings() }

    func channels() throws(DevmemError) -> ChannelCounts? { try netlink.channels() }

    func setRings(_ request: RingRequest) throws(DevmemError) { try netlink.setRings(request) }

    func setRingsDetectingChange(_ request: RingRequest) throws(DevmemError) -> Bool? {
        // Without a notification socket the rings can still be set; only the effect stays unknown.
        guard let before = try? netlink.rings(), let watch = try? RingWatch(interface) else {
            try netlink.setRings(request)
            return nil
        }
        try netlink.setRings(request)
        return watch.verdict(on: request, before: before)
    }

    func isSplitUserSet(probing queue: UInt32) -> Bool? {
        guard let memory = try? DmabufMemory(size: UInt64(systemPageSize)) else { return nil }
        do throws(DevmemError) {
            let binding = try ReceiveBinding(
                dmabuf: memory.descriptor, interface: interface, queues: [queue])
            withExtendedLifetime(binding) {}
            return true
        } catch {
            return RingWatch.isSplitUserSet(bindingRefusedWith: error)
        }
    }

    func contexts() throws(DevmemError) -> [RSSContext] { try netlink.rssContexts() }

    func setIndirection(_ table: [UInt32]) throws(DevmemError) {
        if changesRSSOverNetlink {
            try netlink.setIndirectionTable(table)
        } else {
            try ioctl.setIndirectionTable(table)
        }
    }

    func createContext(_ table: [UInt32]) throws(DevmemError) -> UInt32 {
        changesRSSOverNetlink
            ? try netlink.createRSSContext(table) : try ioctl.createRSSContext(table)
    }

    func deleteContext(_ id: UInt32) throws(DevmemError) {
        if changesRSSOverNetlink {
            try netlink.deleteRSSContext(id)
        } else {
            try ioctl.deleteRSSContext(id)
        }
    }

    func feature(_ feature: SteeringFeature) throws(DevmemError) -> FeatureState {
        try netlink.feature(feature)
    }

    func setFeature(_ feature: SteeringFeature, _ on: Bool) throws(DevmemError) {
        try netlink.setFeature(feature, on)
    }

    func ruleTable() throws(DevmemError) -> FlowRuleTable? { try ioctl.flowRules() }

    func rule(at location: UInt32) throws(DevmemError) -> InstalledRule? {
        try ioctl.flowRule(at: location)
    }

    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32 {
        try ioctl.insert(rule, at: place)
    }

    func deleteRule(at location: UInt32) throws(DevmemError) {
        try ioctl.deleteRule(at: location)
    }
}

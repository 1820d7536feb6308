/// What steering reads and changes of one NIC.
///
/// All throw `DevmemError` as the kernel or the driver refuses.
protocol NICControl: ~Copyable {
    /// The interface's name, for messages.
    var name: String { get }

    func rings() throws(DevmemError) -> RingSettings
    func channels() throws(DevmemError) -> ChannelCounts?
    func setHeaderSplit(_ split: HeaderSplit) throws(DevmemError)
    func setSplitThreshold(_ bytes: UInt32) throws(DevmemError)

    func contexts() throws(DevmemError) -> [RSSContext]
    /// Sets the main table; an empty one asks for the driver's default.
    func setIndirection(_ table: [UInt32]) throws(DevmemError)
    func createContext(_ table: [UInt32]) throws(DevmemError) -> UInt32
    func deleteContext(_ id: UInt32) throws(DevmemError)

    func feature(_ feature: SteeringFeature) throws(DevmemError) -> FeatureState
    func setFeature(_ feature: SteeringFeature, _ on: Bool) throws(DevmemError)

    func ruleTable() throws(DevmemError) -> FlowRuleTable?
    func rule(at location: UInt32) throws(DevmemError) -> InstalledRule?
    /// Inserts a rule at a place and returns the location that it got.
    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32
    func deleteRule(at location: UInt32) throws(DevmemError)
}

/// Which of the kernel's interfaces changes RSS.
public enum RSSInterface: String, Sendable, CaseIterable {
    /// Netlink where the kernel has it, otherwise the ioctl.
    case automatic = "auto"
    /// ethtool netlink, from Linux 6.17 on.
    case netlink
    /// The SIOCETHTOOL ioctl.
    case ioctl
}

/// A NIC of this host, over ethtool netlink and, for what has no netlink form, the ioctl.
struct EthtoolNIC: NICControl, ~Copyable {
    let name: String
    private let netlink: EthtoolNetlink
    private let ioctl: EthtoolIoctl
    private let changesRSSOverNetlink: Bool

    init(_ interface: NetworkInterface, rss: RSSInterface = .automatic) throws(DevmemError) {
        let netlink = try EthtoolNetlink(interface)
        let ioctl = try EthtoolIoctl(interface)
        changesRSSOverNetlink = try Self.choose(rss, netlink)
        name = interface.name
        self.ioctl = ioctl
        self.netlink = netlink
    }

    /// Whether RSS is changed over netlink.
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

    func rings() throws(DevmemError) -> RingSettings { try netlink.rings() }

    func channels() throws(DevmemError) -> ChannelCounts? { try netlink.channels() }

    func setHeaderSplit(_ split: HeaderSplit) throws(DevmemError) {
        try netlink.setHeaderSplit(split)
    }

    func setSplitThreshold(_ bytes: UInt32) throws(DevmemError) {
        try netlink.setSplitThreshold(bytes)
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

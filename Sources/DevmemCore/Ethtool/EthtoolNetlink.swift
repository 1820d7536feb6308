import CDevmem
import SystemPackage

/// The generic netlink family "ethtool" (linux/ethtool_netlink.h).
package enum EthtoolNumber {
    package static let familyName = "ethtool"
    static let version = cdm_ETHTOOL_GENL_VERSION

    /// Names the device, and has the same number in every message.
    static let header = cdm_ETHTOOL_A_RINGS_HEADER

    enum Header {
        static let deviceIndex = cdm_ETHTOOL_A_HEADER_DEV_INDEX
    }

    package enum Command {
        static let linkModesGet = cdm_ETHTOOL_MSG_LINKMODES_GET
        static let featuresGet = cdm_ETHTOOL_MSG_FEATURES_GET
        static let featuresSet = cdm_ETHTOOL_MSG_FEATURES_SET
        static let ringsGet = cdm_ETHTOOL_MSG_RINGS_GET
        package static let ringsSet = cdm_ETHTOOL_MSG_RINGS_SET
        static let channelsGet = cdm_ETHTOOL_MSG_CHANNELS_GET
        static let channelsSet = cdm_ETHTOOL_MSG_CHANNELS_SET
        static let rssGet = cdm_ETHTOOL_MSG_RSS_GET
        package static let rssSet = cdm_ETHTOOL_MSG_RSS_SET
        package static let rssCreate = cdm_ETHTOOL_MSG_RSS_CREATE_ACT
        package static let rssDelete = cdm_ETHTOOL_MSG_RSS_DELETE_ACT
    }

    /// Message numbers from the kernel, which differ from those of requests.
    enum Notification {
        static let rings = cdm_ETHTOOL_MSG_RINGS_NTF
    }
}

/// Reads and changes one NIC's settings through ethtool netlink.
package struct EthtoolNetlink: ~Copyable {
    let interface: NetworkInterface
    private let socket: NetlinkSocket
    private let family: Int32

    package init(_ interface: NetworkInterface) throws(DevmemError) {
        let socket = try NetlinkSocket()
        family = try socket.family(EthtoolNumber.familyName)
        self.socket = socket
        self.interface = interface
    }

    /// Returns the commands that the running kernel supports.
    func commands() throws(DevmemError) -> Set<UInt8> {
        try socket.commands(of: EthtoolNumber.familyName)
    }

    /// Sends a request about this NIC; `body` adds the attributes after the header.
    func request(
        _ command: UInt8, operation: DevmemError.Operation,
        names: AttributeNames = AttributeNames(),
        dump: Bool = false,
        _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void = { _ in }
    ) throws(DevmemError) -> [NetlinkAttributes] {
        let message = try NetlinkMessage(
            family: family, command: command, version: EthtoolNumber.version, dump: dump)
        try message.nest(EthtoolNumber.header) { nest throws(DevmemError) in
            try nest.put(EthtoolNumber.Header.deviceIndex, interface.index)
        }
        try body(message)
        do throws(DevmemError) {
            return try socket.request(
                message, operation: operation.on(interface.name), names: names)
        } catch {
            throw error.errno == .notPermitted ? error.advising(needsNetAdmin) : error
        }
    }
}

import SystemPackage

/// The generic netlink family "ethtool" (linux/ethtool_netlink.h).
package enum EthtoolNumber {
    package static let familyName = "ethtool"
    static let version: UInt8 = 1

    /// Attribute 1 of every message names the device.
    static let header: UInt16 = 1

    enum Header {
        static let deviceIndex: UInt16 = 1
        static let flags: UInt16 = 3
        static let compactBitsets: UInt32 = 1
    }

    package enum Command {
        static let linkModesGet: UInt8 = 4
        static let featuresGet: UInt8 = 11
        static let featuresSet: UInt8 = 12
        static let ringsGet: UInt8 = 15
        package static let ringsSet: UInt8 = 16
        static let channelsGet: UInt8 = 17
        static let channelsSet: UInt8 = 18
        static let rssGet: UInt8 = 38
        package static let rssSet: UInt8 = 48
        package static let rssCreate: UInt8 = 49
        package static let rssDelete: UInt8 = 50
    }

    /// Numbers of what the kernel sends, which are others than those of requests.
    enum Notification {
        static let rings: UInt8 = 17
    }
}

/// Asks and changes one NIC's settings over ethtool netlink.
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

    /// The commands that the running kernel has.
    func commands() throws(DevmemError) -> Set<UInt8> {
        try socket.commands(of: EthtoolNumber.familyName)
    }

    /// One request about this NIC; `body` adds what follows the header.
    func request(
        _ command: UInt8, call: DevmemError.Operation, names: AttributeNames = AttributeNames(),
        headerFlags: UInt32 = 0, dump: Bool = false,
        _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void = { _ in }
    ) throws(DevmemError) -> [NetlinkAttributes] {
        let message = try NetlinkMessage(
            family: family, command: command, version: EthtoolNumber.version, dump: dump)
        try message.nest(EthtoolNumber.header) { nest throws(DevmemError) in
            try nest.put(EthtoolNumber.Header.deviceIndex, interface.index)
            if headerFlags != 0 { try nest.put(EthtoolNumber.Header.flags, headerFlags) }
        }
        try body(message)
        do throws(DevmemError) {
            return try socket.request(message, call: call.on(interface.name), names: names)
        } catch {
            throw error.errno == .notPermitted ? error.advising(needsNetAdmin) : error
        }
    }
}

import CDevmem

/// A driver's self-description.
struct DriverInfo: Equatable, Sendable {
    var driver: String
    var version: String
    var firmware: String
    /// The device's bus address.
    var busInfo: String

    /// `struct ethtool_drvinfo` of linux/ethtool.h: the command, then texts of 32 bytes each.
    private enum Layout {
        static let driver = 4
        static let version = 36
        static let firmware = 68
        static let busInfo = 100
        static let textLength = 32
        static let size = MemoryLayout<ethtool_drvinfo>.size
    }

    /// The request; the driver fills in the other fields.
    static var request: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Layout.size)
        bytes.store(UInt32(ETHTOOL_GDRVINFO), at: 0)
        return bytes
    }

    /// Parses the answer; nil if it does not have the structure's size.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Layout.size else { return nil }
        func text(at offset: Int) -> String {
            let field = bytes[offset..<offset + Layout.textLength]
            return String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
        }
        driver = text(at: Layout.driver)
        version = text(at: Layout.version)
        firmware = text(at: Layout.firmware)
        busInfo = text(at: Layout.busInfo)
    }
}

extension EthtoolIoctl {
    /// Reads the driver's name and versions (`ethtool_get_drvinfo` of net/ethtool/ioctl.c).
    func driverInfo() throws(DevmemError) -> DriverInfo? {
        var bytes = DriverInfo.request
        try run(&bytes, call: "read the driver's name of")
        return DriverInfo(bytes)
    }
}

import CDevmem

/// A driver's self-description.
struct DriverInfo: Equatable, Sendable {
    var driver: String
    var version: String
    var firmware: String
    /// The device's bus address.
    var busInfo: String

    /// `struct ethtool_drvinfo` of linux/ethtool.h.
    private enum Layout {
        static let driver = cdm_ethtool_drvinfo_driver
        static let version = cdm_ethtool_drvinfo_version
        static let firmware = cdm_ethtool_drvinfo_fw_version
        static let busInfo = cdm_ethtool_drvinfo_bus_info
        static let textLength = cdm_ethtool_drvinfo_text
        static let size = cdm_ethtool_drvinfo_size
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
        try run(&bytes, operation: "read the driver's name of")
        return DriverInfo(bytes)
    }
}

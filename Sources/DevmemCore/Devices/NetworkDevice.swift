import Glibc
import SystemPackage

/// What netlink, libudev and the driver tell of the device behind a network interface. What cannot be
/// read is nil.
package struct NetworkDevice: Equatable, Sendable {
    /// The interface.
    package var interface: NetworkInterface
    /// What the interface is if it is no NIC.
    package var virtual: VirtualInterface?
    /// The kernel driver's name; nil for a virtual interface.
    package var driver: String?
    /// The driver's version, for drivers of the kernel's tree the kernel's.
    package var driverVersion: String?
    /// The firmware's version.
    package var firmwareVersion: String?
    /// The bus that the device is on: `pci`, `platform`.
    package var bus: String?
    /// The device's address there: `0000:03:00.0`.
    package var address: String?
    /// The device's folder below /sys/devices.
    package var path: String?
    /// The NUMA node that it is nearest to.
    package var numaNode: Int?
    /// The link's speed in Mbit/s.
    package var speed: UInt64?
    /// The largest packet, without the Ethernet header, in bytes.
    package var mtu: UInt32?
    /// Whether the interface was set up (`ip link set up`).
    package var isUp: Bool?
    /// Whether there is a link; known only of one that is up.
    package var hasCarrier: Bool?
    /// The hardware address.
    package var macAddress: String?
    /// The number of its IOMMU group; nil without an IOMMU.
    package var iommuGroup: String?
    /// How the IOMMU treats it: `DMA`, `DMA-FQ` or `identity`
    /// (Documentation/ABI/testing/sysfs-kernel-iommu_groups of the kernel).
    package var iommuType: String?

    /// A device of which nothing is known.
    package init(_ interface: NetworkInterface) {
        self.interface = interface
    }

    /// Asks netlink, libudev and the driver.
    package init(of interface: NetworkInterface) {
        self.init(interface)
        // An interface that is gone shows in what else is read of it.
        virtual = (try? interface.asVirtual) ?? nil
        if let ioctl = try? EthtoolIoctl(interface), let info = try? ioctl.driverInfo() {
            driverVersion = info.version.isEmpty ? nil : info.version
            // Drivers without firmware write nothing or N/A.
            firmwareVersion = ["", "N/A"].contains(info.firmware) ? nil : info.firmware
        }
        speed = (try? EthtoolNetlink(interface).speed()).flatMap { $0 }.map { UInt64($0) }
        driver = interface.driver
        guard let link = interface.link else { return }
        mtu = link.mtu
        isUp = link.isUp
        hasCarrier = link.isUp ? link.hasCarrier : nil
        macAddress = link.addressText
        guard let udev = Udev(), let parent = ParentDevice(of: link)?.device(in: udev) else {
            return
        }
        // Behind virtio and auxiliary devices stands the one that does DMA.
        if parent.subsystem != "pci", let pci = parent.pciParent {
            readBus(pci)
        } else {
            readBus(parent)
        }
    }

    private mutating func readBus(_ device: borrowing UdevDevice) {
        bus = device.subsystem
        address = device.name
        path = device.path
        numaNode = nodeOfDevice(device)
        guard let path else { return }
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard realpath("\(path)/iommu_group", &target) != nil else { return }
        let folder = target.withUnsafeBytes {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        iommuGroup = folder.split(separator: "/").last.map(String.init)
        iommuType = lines(of: "\(folder)/type").first.map(String.init)
    }

    /// The interfaces of this network namespace that have a device behind them, and so a driver.
    ///
    /// - Returns: them in the order of the kernel's numbers.
    /// - Throws: `DevmemError` of kind `system` if the kernel does not list interfaces.
    package static func all() throws(DevmemError) -> [NetworkDevice] {
        guard let list = if_nameindex() else {
            throw DevmemError(
                .system, call: "list the interfaces", errno: Errno(rawValue: errno))
        }
        defer { if_freenameindex(list) }
        var devices: [NetworkDevice] = []
        var entry = list
        while entry.pointee.if_index != 0, let name = entry.pointee.if_name {
            if let interface = try? NetworkInterface(named: String(cString: name)) {
                let device = NetworkDevice(of: interface)
                if device.driver != nil { devices.append(device) }
            }
            entry += 1
        }
        return devices
    }
}

/// The NUMA node of a device. Where the host has only one, firmware often does not say.
func nodeOfDevice(_ device: borrowing UdevDevice) -> Int? {
    if let node = device.attribute("numa_node").flatMap({ Int($0) }), node >= 0 { return node }
    return lines(of: "/sys/devices/system/node/online").first.flatMap { Int($0) }
}

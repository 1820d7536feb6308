import Glibc
import SystemPackage

/// The device behind a network interface, as reported by netlink, libudev and the driver. Values
/// that cannot be read are nil.
package struct NetworkDevice: Equatable, Sendable {
    /// The interface.
    package var interface: NetworkInterface
    /// The description of the interface if it is not a NIC.
    package var virtual: VirtualInterface?
    /// Whether it is one end of a netkit pair, to which queues can be leased.
    package var isNetkit = false
    /// The kernel driver's name; nil for a virtual interface.
    package var driver: String?
    /// The driver's version; in-tree drivers report the kernel's.
    package var driverVersion: String?
    /// The firmware's version.
    package var firmwareVersion: String?
    /// The bus of the device: `pci`, `platform`.
    package var bus: String?
    /// The device's bus address: `0000:03:00.0`.
    package var address: String?
    /// The device's directory below /sys/devices.
    package var path: String?
    /// The nearest NUMA node.
    package var numaNode: Int?
    /// The link speed in Mbit/s.
    package var speed: UInt64?
    /// The MTU in bytes.
    package var mtu: UInt32?
    /// Whether the interface is administratively up (`ip link set up`).
    package var isUp: Bool?
    /// Whether there is a carrier; nil while the interface is down.
    package var hasCarrier: Bool?
    /// The hardware address.
    package var macAddress: String?
    /// Its IOMMU group; nil without an IOMMU.
    package var iommuGroup: String?
    /// The type of its IOMMU domain: `DMA`, `DMA-FQ` or `identity` (the kernel's
    /// Documentation/ABI/testing/sysfs-kernel-iommu_groups).
    package var iommuType: String?

    /// Creates a device about which nothing is known.
    package init(_ interface: NetworkInterface) {
        self.interface = interface
    }

    /// Reads the device's properties from netlink, libudev and the driver.
    package init(of interface: NetworkInterface) {
        self.init(interface)
        // If the interface is gone, the other reads fail too.
        virtual = (try? interface.virtualInterface) ?? nil
        if let ioctl = try? EthtoolIoctl(interface), let info = try? ioctl.driverInfo() {
            driverVersion = info.version.isEmpty ? nil : info.version
            // Drivers without firmware report an empty string or N/A.
            firmwareVersion = ["", "N/A"].contains(info.firmware) ? nil : info.firmware
        }
        speed = (try? EthtoolNetlink(interface).speed()).flatMap { $0 }.map { UInt64($0) }
        driver = interface.driver
        guard let link = interface.link else { return }
        isNetkit = link.isNetkit
        mtu = link.mtu
        isUp = link.isUp
        hasCarrier = link.isUp ? link.hasCarrier : nil
        macAddress = link.addressText
        guard let udev = Udev(), let parent = ParentDevice(of: link)?.device(in: udev) else {
            return
        }
        // virtio and auxiliary devices have a PCI parent, which does the DMA.
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
        numaNode = numaNodeOfDevice(device)
        guard let path else { return }
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard realpath("\(path)/iommu_group", &target) != nil else { return }
        let folder = target.withUnsafeBytes {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        iommuGroup = folder.split(separator: "/").last.map(String.init)
        iommuType = lines(of: "\(folder)/type").first.map(String.init)
    }

    /// Lists the interfaces of this network namespace that have a device, and so a driver.
    ///
    /// - Returns: the devices, by interface index.
    /// - Throws: `DevmemError` of kind `system` if the kernel does not list the interfaces.
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

/// Returns the NUMA node of a device. On hosts with a single node, firmware often does not set it.
func numaNodeOfDevice(_ device: borrowing UdevDevice) -> Int? {
    if let node = device.attribute("numa_node").flatMap({ Int($0) }), node >= 0 { return node }
    return lines(of: "/sys/devices/system/node/online").first.flatMap { Int($0) }
}

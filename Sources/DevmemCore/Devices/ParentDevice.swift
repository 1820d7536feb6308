/// The device behind a network interface, as identified by netlink.
///
/// sysfs lists the interfaces of the network namespace in which it was mounted. After `nsenter
/// --net` that is another namespace, possibly with the same interface names and indices. Devices,
/// however, are listed for all namespaces.
struct ParentDevice: Equatable, Sendable {
    /// The bus, such as `pci`.
    var bus: String
    /// The device's name on the bus.
    var name: String

    /// Identifies the device behind an interface; nil for a virtual interface or one on no bus.
    init?(of link: LinkInfo) {
        guard let bus = link.parentBus, let name = link.parentDevice else { return nil }
        self.bus = bus
        self.name = name
    }

    /// Looks the device up with libudev.
    func device(in udev: borrowing Udev) -> UdevDevice? {
        udev.device(subsystem: bus, name: name)
    }

    /// Returns the sysfs directory of an interface of this device; nil if this sysfs does not list
    /// it.
    ///
    /// - Parameters:
    ///   - link: the interface.
    ///   - root: where sysfs is mounted.
    /// - Returns: the directory's path.
    func folder(of link: LinkInfo, root: String = "/sys") -> String? {
        // On a NIC with several ports, the namespace of this sysfs may have another interface of
        // the same name.
        let folder = "\(root)/bus/\(bus)/devices/\(name)/net/\(link.name)"
        guard lines(of: "\(folder)/ifindex").first == "\(link.index)",
            lines(of: "\(folder)/address").first.map(String.init) == link.addressText
        else { return nil }
        return folder
    }
}

extension NetworkInterface {
    /// The interface as netlink reports it; nil if it is gone.
    var link: LinkInfo? { (try? links(index: index))?.first }

    /// The name of the kernel driver behind the interface; nil for a virtual interface.
    package var driver: String? {
        guard let link, link.parentDevice != nil else { return nil }
        if let udev = Udev(), let device = ParentDevice(of: link)?.device(in: udev),
            let driver = device.driver
        {
            return driver
        }
        // sysfs is not mounted, or the device is on no bus.
        return ((try? EthtoolIoctl(self).driverInfo()) ?? nil)?.driver
    }
}

/// The device behind a network interface.
///
/// sysfs lists the interfaces of the network namespace that it was mounted in, which after `nsenter
/// --net` is another one, with other interfaces of the same names and numbers. Devices it lists for
/// all. So which device it is comes from netlink.
struct ParentDevice: Equatable, Sendable {
    /// The bus, such as `pci`.
    var bus: String
    /// The device's name there.
    var name: String

    /// The device behind an interface; nil for a virtual one, and for one on no bus.
    init?(of link: LinkInfo) {
        guard let bus = link.parentBus, let name = link.parentDevice else { return nil }
        self.bus = bus
        self.name = name
    }

    /// The device, as libudev knows it.
    func device(in udev: borrowing Udev) -> UdevDevice? {
        udev.device(subsystem: bus, name: name)
    }

    /// The folder of an interface of this device's; nil if this sysfs does not list it.
    ///
    /// - Parameters:
    ///   - link: the interface.
    ///   - root: where sysfs is mounted.
    /// - Returns: its path.
    func folder(of link: LinkInfo, root: String = "/sys") -> String? {
        // A card of several ports may have another one, of the same name, in sysfs's own namespace.
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
        // Where sysfs is not mounted, or for a device on no bus.
        return ((try? EthtoolIoctl(self).driverInfo()) ?? nil)?.driver
    }
}

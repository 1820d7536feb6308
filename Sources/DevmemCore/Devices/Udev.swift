import CUdev
import Glibc

/// A libudev context, with one owner.
package struct Udev: ~Copyable {
    private let context: OpaquePointer

    /// Creates a context; nil if memory is exhausted.
    package init?() {
        guard let context = udev_new() else { return nil }
        self.context = context
    }

    deinit {
        udev_unref(context)
    }

    /// Looks up a device by its name in a subsystem; nil if there is none.
    package func device(subsystem: String, name: String) -> UdevDevice? {
        udev_device_new_from_subsystem_sysname(context, subsystem, name).map {
            UdevDevice(owning: $0)
        }
    }

    /// Calls `body` for each device of a subsystem, in the order of their paths; never if sysfs
    /// cannot be read.
    func forEach(in subsystem: String, _ body: (borrowing UdevDevice) -> Void) {
        guard let enumeration = udev_enumerate_new(context) else { return }
        defer { udev_enumerate_unref(enumeration) }
        guard udev_enumerate_add_match_subsystem(enumeration, subsystem) >= 0,
            udev_enumerate_scan_devices(enumeration) >= 0
        else { return }
        var entry = udev_enumerate_get_list_entry(enumeration)
        while let current = entry {
            if let path = udev_list_entry_get_name(current),
                let handle = udev_device_new_from_syspath(context, path)
            {
                body(UdevDevice(owning: handle))
            }
            entry = udev_list_entry_get_next(current)
        }
    }
}

/// A sysfs device in libudev, with one owner.
package struct UdevDevice: ~Copyable {
    private let handle: OpaquePointer

    fileprivate init(owning handle: OpaquePointer) {
        self.handle = handle
    }

    deinit {
        udev_device_unref(handle)
    }

    /// Its directory below /sys/devices.
    var path: String? { udev_device_get_syspath(handle).map { String(cString: $0) } }
    /// The name of its directory, such as `0000:03:00.0`.
    var name: String? { udev_device_get_sysname(handle).map { String(cString: $0) } }
    /// Its bus or class, such as `pci`.
    var subsystem: String? { udev_device_get_subsystem(handle).map { String(cString: $0) } }
    /// The name of its kernel driver.
    var driver: String? { udev_device_get_driver(handle).map { String(cString: $0) } }
    /// Its device node below /dev.
    var node: String? { udev_device_get_devnode(handle).map { String(cString: $0) } }
    /// The major and minor number of its node, parsed from `10:123`.
    package var number: (major: UInt32, minor: UInt32)? {
        guard let text = attribute("dev") else { return nil }
        let parts = text.split(separator: ":")
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else {
            return nil
        }
        return (major, minor)
    }

    /// Returns the contents of a file in its directory, without the newline; nil if it cannot be
    /// read.
    func attribute(_ name: String) -> String? {
        udev_device_get_sysattr_value(handle, name).map { String(cString: $0) }
    }

    /// Its parent device; nil for a virtual one.
    var parent: UdevDevice? { Self.retaining(udev_device_get_parent(handle)) }

    /// The nearest ancestor on the PCI bus.
    var pciParent: UdevDevice? {
        Self.retaining(udev_device_get_parent_with_subsystem_devtype(handle, "pci", nil))
    }

    /// Takes a reference to a parent, which otherwise belongs to its child and is freed with it.
    private static func retaining(_ handle: OpaquePointer?) -> UdevDevice? {
        handle.flatMap { udev_device_ref($0) }.map { UdevDevice(owning: $0) }
    }
}

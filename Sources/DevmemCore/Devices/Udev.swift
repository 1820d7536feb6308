import CUdev
import Glibc

/// What libudev knows of this host's devices, with one owner.
package struct Udev: ~Copyable {
    private let context: OpaquePointer

    /// Opens libudev; nil if it has no memory.
    package init?() {
        guard let context = udev_new() else { return nil }
        self.context = context
    }

    deinit {
        udev_unref(context)
    }

    /// A device by its name in a subsystem; nil if there is none.
    package func device(subsystem: String, name: String) -> UdevDevice? {
        udev_device_new_from_subsystem_sysname(context, subsystem, name).map {
            UdevDevice(owning: $0)
        }
    }

    /// Calls `body` with each device of a subsystem, in the order of their paths; not at all where
    /// sysfs cannot be read.
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

/// A device of sysfs as libudev shows it, with one owner.
package struct UdevDevice: ~Copyable {
    private let handle: OpaquePointer

    fileprivate init(owning handle: OpaquePointer) {
        self.handle = handle
    }

    deinit {
        udev_device_unref(handle)
    }

    /// Its folder below /sys/devices.
    var path: String? { udev_device_get_syspath(handle).map { String(cString: $0) } }
    /// Its folder's name, such as `0000:03:00.0`.
    var name: String? { udev_device_get_sysname(handle).map { String(cString: $0) } }
    /// The kernel's name of its bus or class, such as `pci`.
    var subsystem: String? { udev_device_get_subsystem(handle).map { String(cString: $0) } }
    /// The kernel driver behind it.
    var driver: String? { udev_device_get_driver(handle).map { String(cString: $0) } }
    /// Its file below /dev.
    var node: String? { udev_device_get_devnode(handle).map { String(cString: $0) } }
    /// Major and minor number of its file, joined as in /sys: `10:123`.
    package var number: (major: UInt32, minor: UInt32)? {
        guard let text = attribute("dev") else { return nil }
        let parts = text.split(separator: ":")
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else {
            return nil
        }
        return (major, minor)
    }

    /// What a file in its folder says, without the line's end; nil if it cannot be read.
    func attribute(_ name: String) -> String? {
        udev_device_get_sysattr_value(handle, name).map { String(cString: $0) }
    }

    /// The device that it hangs on; nil for a virtual one.
    var parent: UdevDevice? { Self.sharing(udev_device_get_parent(handle)) }

    /// The nearest device above it on the PCI bus.
    var pciParent: UdevDevice? {
        Self.sharing(udev_device_get_parent_with_subsystem_devtype(handle, "pci", nil))
    }

    /// A parent belongs to its child; a reference of one's own makes it outlive that.
    private static func sharing(_ handle: OpaquePointer?) -> UdevDevice? {
        handle.flatMap { udev_device_ref($0) }.map { UdevDevice(owning: $0) }
    }
}

import Glibc

/// A device that can export its memory as a dma-buf, or one that exports host memory.
package struct MemoryDevice: Equatable, Sendable {
    /// The kind of device.
    package enum Kind: String, Sendable, Codable {
        /// PCI class 0x03 (display), or another device with a DRM render node.
        case gpu
        /// PCI class 0x12 (processing accelerator).
        case accelerator
        /// A dma-heap, which allocates host memory.
        case heap = "dma-heap"
        /// The udmabuf driver, which exports pages of this process.
        case udmabuf
    }

    /// The kind of device.
    package var kind: Kind
    /// Its bus address or name: `0000:41:00.0`, `system`.
    package var name: String
    /// The PCI vendor id, such as 0x10de for NVIDIA and 0x1002 for AMD.
    package var vendor: UInt16?
    /// The kernel driver's name.
    package var driver: String?
    /// Its device node below /dev: a render node, heap or udmabuf.
    package var node: String?
    /// Its directory below /sys/devices; nil for host memory.
    package var path: String?
    /// The nearest NUMA node.
    package var numaNode: Int?
}

extension MemoryDevice {
    /// The PCI vendor id of NVIDIA.
    package static let nvidia: UInt16 = 0x10de

    /// That of AMD.
    package static let amd: UInt16 = 0x1002

    /// Returns the distance to a NIC; nil for host memory.
    ///
    /// - Parameter device: the NIC's device.
    /// - Returns: the distance; `unknown` if the NIC is on no bus.
    package func distance(to device: NetworkDevice) -> DeviceDistance? {
        guard let path else { return nil }
        guard let other = device.path else { return .unknown }
        return DeviceDistance(from: path, node: numaNode, to: other, node: device.numaNode)
    }

    /// Lists the devices of this host, found with libudev; PCI devices come first.
    package static func all() -> [MemoryDevice] {
        guard let udev = Udev() else { return [] }
        var devices: [MemoryDevice] = []
        udev.forEach(in: "pci") { pci in
            let kinds: [String: Kind] = ["0x03": .gpu, "0x12": .accelerator]
            guard let kind = pci.attribute("class").flatMap({ kinds[String($0.prefix(4))] }),
                let name = pci.name
            else { return }
            devices.append(MemoryDevice(kind: kind, name: name, pci))
        }
        udev.forEach(in: "drm") { drm in
            guard let name = drm.name, name.hasPrefix("renderD"), let parent = drm.parent else {
                return
            }
            if let place = devices.firstIndex(where: { $0.path == parent.path }) {
                devices[place].node = drm.node
            } else {
                var device = MemoryDevice(kind: .gpu, name: parent.name ?? name, parent)
                device.node = drm.node
                devices.append(device)
            }
        }
        udev.forEach(in: "dma_heap") { heap in
            guard let name = heap.name else { return }
            var device = MemoryDevice(kind: .heap, name: name)
            device.node = "/dev/dma_heap/\(name)"
            devices.append(device)
        }
        if udev.device(subsystem: "misc", name: "udmabuf") != nil {
            var device = MemoryDevice(kind: .udmabuf, name: "udmabuf")
            device.node = udmabufPath
            devices.append(device)
        }
        return devices
    }

    private init(kind: Kind, name: String, _ device: borrowing UdevDevice) {
        self.init(kind: kind, name: name)
        vendor = device.attribute("vendor").flatMap { UInt16($0.dropFirst(2), radix: 16) }
        driver = device.driver
        path = device.path
        numaNode = numaNodeOfDevice(device)
    }
}

/// The node of the udmabuf driver, which exports host memory (drivers/dma-buf/udmabuf.c).
package let udmabufPath = "/dev/udmabuf"

import CDevmem
import Testing

@testable import DevmemCore

@Suite struct DeviceDistanceTests {
    private static let root = "/sys/devices/pci0000:40"
    /// Root port, then a switch: its upstream port and a downstream port for each device.
    private static let nic = "\(root)/0000:40:01.0/0000:41:00.0/0000:42:00.0/0000:43:00.0"
    private static let gpu = "\(root)/0000:40:01.0/0000:41:00.0/0000:42:01.0/0000:44:00.0"

    private func distance(
        _ first: String, _ second: String, nodes: (Int?, Int?) = (0, 0)
    ) -> DeviceDistance {
        let there = DeviceDistance(from: first, node: nodes.0, to: second, node: nodes.1)
        let back = DeviceDistance(from: second, node: nodes.1, to: first, node: nodes.0)
        #expect(there == back)
        return there
    }

    @Test func functionsOfOneCardAreOneDevice() {
        #expect(distance(Self.nic, Self.nic) == .sameDevice)
        #expect(distance(Self.nic, Self.nic.dropLast() + "1") == .sameDevice)
        // The same bus number below another port is another device.
        let twin = "\(Self.root)/0000:40:02.0/0000:41:00.0/0000:42:00.0/0000:43:00.1"
        #expect(distance(Self.nic, twin) == .sameHostBridge)
    }

    @Test func devicesOfOneSwitchShareABridge() {
        #expect(distance(Self.nic, Self.gpu) == .sameSwitch)
        let deeper = Self.gpu.replacing(
            "/0000:44:00.0", with: "/0000:44:00.0/0000:45:08.0/0000:46:00.0")
        #expect(distance(Self.nic, deeper) == .sameSwitch)
        // Devices below the PCI function, such as its ports, do not matter.
        #expect(distance(Self.nic + "/mlx5_core.eth.0", Self.gpu + "/drm/card0") == .sameSwitch)
    }

    @Test func portsOfOneRootComplexShareTheHostBridge() {
        let other = "\(Self.root)/0000:40:03.0/0000:51:00.0"
        #expect(distance(Self.nic, other) == .sameHostBridge)
        #expect(distance(Self.nic, "\(Self.root)/0000:40:1f.0") == .sameHostBridge)
        #expect(distance(Self.nic, other, nodes: (0, 1)) == .sameHostBridge)
    }

    @Test func hostBridgesAreDistinguishedByNode() {
        let other = "/sys/devices/pci0000:80/0000:80:01.0/0000:81:00.0"
        #expect(distance(Self.nic, other, nodes: (0, 0)) == .sameNode)
        #expect(distance(Self.nic, other, nodes: (0, 1)) == .otherNode)
        #expect(distance(Self.nic, other, nodes: (nil, 1)) == .unknown)
        #expect(distance(Self.nic, other, nodes: (nil, nil)) == .unknown)
        // Another PCI domain has other bridges, even with the same numbers.
        let domain = Self.gpu.replacing("0000:", with: "0001:")
        #expect(distance(Self.nic, domain, nodes: (0, 1)) == .otherNode)
    }

    @Test func otherBusesHaveOnlyNodes() {
        let platform = "/sys/devices/platform/labnic.0"
        #expect(distance(platform, platform) == .sameDevice)
        #expect(distance(platform, Self.gpu) == .sameNode)
        #expect(distance(platform, Self.gpu, nodes: (nil, 1)) == .unknown)
        #expect(distance(platform, "/sys/devices/platform/labnic.1") == .sameNode)
    }

    @Test func longDomainsAndNonsenseAreRead() {
        // With VMD, a second host bridge is below a device.
        let vmd = "/sys/devices/pci0000:ae/0000:ae:00.5/pci10000:00/10000:00:02.0/10000:01:00.0"
        let beside = "/sys/devices/pci0000:ae/0000:ae:00.5/pci10000:00/10000:00:03.0/10000:02:00.0"
        #expect(distance(vmd, beside) == .sameSwitch)
        for odd in ["", "/", "pci", "/sys/devices/pci0000:00", "0000:00:00.0", ":::...", "a:b:c.d"]
        {
            #expect(distance(odd, Self.nic, nodes: (nil, nil)) == .unknown)
        }
    }

    @Test func nearerIsLess() {
        #expect(DeviceDistance.sameSwitch < .sameHostBridge)
        #expect(DeviceDistance.otherNode < .unknown)
        #expect(DeviceDistance.allCases == DeviceDistance.allCases.shuffled().sorted())
    }

    @Test func memoryDevicesTellTheirDistance() throws {
        var device = NetworkDevice(try NetworkInterface(named: "lo"))
        var gpu = MemoryDevice(kind: .gpu, name: "0000:44:00.0")
        #expect(gpu.distance(to: device) == nil)
        gpu.path = Self.gpu
        #expect(gpu.distance(to: device) == .unknown)
        device.path = Self.nic
        #expect(gpu.distance(to: device) == .sameSwitch)
    }
}

@Suite struct NetworkDeviceTests {
    @Test func driverInfoIsRead() throws {
        var bytes = DriverInfo.request
        #expect(bytes.count == 196)
        #expect(bytes[..<4] == raw(UInt32(3))[...])
        for (text, offset) in [("mlx5_core", 4), ("7.3.4", 36), ("16.35.2000", 68)] {
            bytes.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
        }
        // A string that fills its field has no terminating zero.
        bytes.replaceSubrange(100..<132, with: repeatElement(UInt8(ascii: "x"), count: 32))
        let info = try #require(DriverInfo(bytes))
        #expect(info.driver == "mlx5_core")
        #expect(info.version == "7.3.4")
        #expect(info.firmware == "16.35.2000")
        #expect(info.busInfo == String(repeating: "x", count: 32))
        #expect(DriverInfo(Array(bytes.dropLast())) == nil)
    }

    @Test func theLoopbackInterfaceHasNoDevice() throws {
        let device = NetworkDevice(of: try NetworkInterface(named: "lo"))
        #expect(device.driver == nil && device.path == nil)
        #expect(device.mtu ?? 0 > 0)
        #expect(device.macAddress == "00:00:00:00:00:00")
        #expect(try !NetworkDevice.all().contains { $0.interface.name == "lo" })
    }

    @Test func everyDeviceOnABusHasAPath() throws {
        for device in try NetworkDevice.all() {
            #expect(device.driver != nil)
            #expect(device.path?.hasPrefix("/sys/devices/") == true)
        }
        for memory in MemoryDevice.all() where memory.kind == .gpu { #expect(memory.path != nil) }
    }
}

@Suite struct AddressLabelTests {
    @Test func aLabelIsOfTheInterfaceBeforeItsColon() {
        #expect(NetworkInterface.name(ofLabel: "eth1") == "eth1")
        #expect(NetworkInterface.name(ofLabel: "eth1:0") == "eth1")
        #expect(NetworkInterface.name(ofLabel: "eth1.5:web:1") == "eth1.5")
        #expect(NetworkInterface.name(ofLabel: ":").isEmpty)
        #expect(NetworkInterface.name(ofLabel: "").isEmpty)
    }
}

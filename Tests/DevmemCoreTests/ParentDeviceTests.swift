import Foundation
import Testing

@testable import DevmemCore

/// netlink identifies a NIC's device, whatever namespace sysfs shows.
@Suite struct ParentDeviceTests {
    private var link: LinkInfo {
        var link = LinkInfo(
            index: 4, name: "eth1", address: [2, 0, 0xab, 0, 0, 1], parentDevice: "0000:01:00.0")
        link.parentBus = "pci"
        return link
    }

    @Test func onlyADeviceOnABusIsLookedUp() throws {
        #expect(ParentDevice(of: LinkInfo(index: 1, name: "lo")) == nil)
        #expect(
            ParentDevice(of: LinkInfo(index: 4, name: "eth1", parentDevice: "0000:01:00.0")) == nil)
        let parent = try #require(ParentDevice(of: link))
        #expect(parent.bus == "pci" && parent.name == "0000:01:00.0")
    }

    @Test func theFolderOfAnotherInterfaceIsNotTaken() throws {
        let parent = try #require(ParentDevice(of: link))
        let root = FileManager.default.temporaryDirectory
            .appending(path: "devmemtcp-sysfs-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        #expect(parent.folder(of: link, root: root.path) == nil)
        let folder = root.appending(path: "bus/pci/devices/0000:01:00.0/net/eth1")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        func show(index: String, address: String) throws {
            try Data("\(index)\n".utf8).write(to: folder.appending(path: "ifindex"))
            try Data("\(address)\n".utf8).write(to: folder.appending(path: "address"))
        }
        try show(index: "4", address: "02:00:ab:00:00:01")
        #expect(parent.folder(of: link, root: root.path) == folder.path)
        try show(index: "5", address: "02:00:ab:00:00:01")
        #expect(parent.folder(of: link, root: root.path) == nil)
        try show(index: "4", address: "02:00:ab:00:00:02")
        #expect(parent.folder(of: link, root: root.path) == nil)
    }
}

import Testing

@testable import DevmemCore

/// A virtual interface above a NIC is distinguished from one.
@Suite struct VirtualInterfaceTests {
    private func link(
        _ index: UInt32, _ name: String, kind: String? = nil, parent: String? = nil,
        lower: UInt32? = nil, master: UInt32? = nil, isLoopback: Bool = false
    ) -> LinkInfo {
        var link = LinkInfo(index: index, name: name, kind: kind, parentDevice: parent)
        link.lower = lower
        link.master = master
        link.isLoopback = isLoopback
        return link
    }

    private var links: [LinkInfo] {
        [
            link(1, "lo", isLoopback: true),
            link(2, "eth1", parent: "0000:03:00.0", master: 5),
            link(3, "eth2", parent: "0000:03:00.1", master: 5),
            link(4, "eth3", master: 7),
            link(5, "bond0", kind: "bond"),
            link(6, "bond0.5", kind: "vlan", lower: 5),
            link(7, "br0", kind: "bridge"),
            link(8, "mv0", kind: "macvlan", lower: 4),
            link(9, "veth0", kind: "veth", lower: 2),
            link(10, "dummy0", kind: "dummy"),
            link(11, "nk0", kind: "netkit", lower: 12),
            link(12, "nsim0", kind: "netdevsim", parent: "netdevsim0"),
        ]
    }

    private func virtual(_ name: String) -> VirtualInterface? {
        links.first { $0.name == name }.flatMap { VirtualInterface($0, among: links) }
    }

    @Test func NICsAreNone() {
        for name in ["eth1", "eth3", "nk0", "nsim0"] { #expect(virtual(name) == nil) }
    }

    @Test func namesTheNICsBelow() {
        #expect(virtual("bond0")?.text == "a bond of eth1 and eth2")
        #expect(virtual("bond0.5")?.text == "a VLAN on eth1 and eth2")
        #expect(virtual("br0")?.text == "a bridge on eth3")
        #expect(virtual("mv0")?.text == "a macvlan on eth3")
        #expect(virtual("veth0")?.text == "a veth, with no NIC below it")
        #expect(virtual("dummy0")?.text == "a dummy, with no NIC below it")
        #expect(virtual("lo")?.text == "the loopback interface, with no NIC below it")
    }

    @Test func advisesWhatWorks() throws {
        let error = try #require(virtual("br0")).error("choose queues of br0")
        #expect(
            error.description
                == "choose queues of br0: it is a bridge on eth3, which has no queues of a NIC (name eth3 "
                + "to receive; device memory can be sent only through a NIC itself)")
        let vlan = try #require(virtual("bond0.5")).error("x")
        #expect(vlan.description.contains("one of eth1, eth2"))
        #expect(vlan.description.contains("VLAN tag"))
        #expect(try #require(virtual("lo")).error("x").description.contains("name a NIC"))
    }

    /// Indices that refer to each other in a circle, as only a broken kernel would report.
    @Test func endsInACircle() {
        let circle = [
            link(1, "a", kind: "vlan", lower: 2), link(2, "b", kind: "vlan", lower: 1, master: 2),
        ]
        #expect(VirtualInterface(circle[0], among: circle)?.nics == [])
    }

    private func message(type: UInt8, _ attributes: [UInt8]) -> [UInt8] {
        [2, 32, 0, 0, 254, 0, 0, type] + raw(UInt32(0)) + attributes
    }

    @Test func readsRoutes() throws {
        let output = raw(UInt16(8)) + raw(UInt16(4)) + raw(UInt32(7))
        let route = try #require(try Route(message(type: 1, output)[...]))
        #expect(route.interface == 7 && !route.isLocal)
        #expect(try Route(message(type: 2, output)[...])?.isLocal == true)
        #expect(try Route(message(type: 1, [])[...]) == nil)
        #expect(try Route([2, 32, 0][...]) == nil)
        #expect(throws: DevmemError.self) {
            try Route(message(type: 1, [0xff, 0xff, 4, 0])[...])
        }
    }

    @Test func asksTheKernelForTheRoute() throws {
        let address = try #require(IPAddress(text: "127.0.0.1"))
        let route = try Route(to: address)
        #expect(route.isLocal)
        let interface = try NetworkInterface(leadingTo: Endpoint(address: address, port: 9))
        #expect(interface.name == "lo" && interface.index == route.interface)
        #expect(try interface.virtualInterface?.kind == "loopback")
        #expect(throws: DevmemError.self) { try interface.requireNIC("choose queues of") }
    }

    @Test func anAddressOfTheLoopbackInterfaceNeedsAPeer() throws {
        let address = try #require(IPAddress(text: "127.0.0.1"))
        do throws(DevmemError) {
            _ = try NetworkInterface(receivingAt: address, from: nil)
            Issue.record("lo was taken")
        } catch {
            #expect(error.message?.contains("any NIC") == true)
            let advice: Advice = "name the NIC with \(.interface), or the peer with \(.from)"
            #expect(error.advice?.text() == advice.text())
        }
        do throws(DevmemError) {
            _ = try NetworkInterface(receivingAt: address, from: address)
            Issue.record("lo was taken")
        } catch {
            #expect(error.message?.contains("do not pass through a NIC") == true)
        }
    }
}

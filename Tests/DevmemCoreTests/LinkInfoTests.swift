import Testing

@testable import DevmemCore

@Suite struct LinkInfoTests {
    private func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        raw(UInt16(4 + payload.count)) + raw(type) + payload
            + [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
    }

    @Test func linkIsRead() throws {
        let header = raw(UInt32(0)) + raw(UInt32(4)) + raw(UInt32(0x1_0043)) + raw(UInt32(0))
        let bytes =
            header + attribute(3, Array("eth1".utf8) + [0]) + attribute(4, raw(UInt32(9000)))
            + attribute(1, [2, 0, 0xab, 0, 0, 1]) + attribute(16, [6])
            + attribute(18 | 0x8000, attribute(1, Array("veth".utf8) + [0]))
            + attribute(56, Array("0000:01:00.0".utf8) + [0])
            + attribute(57, Array("pci".utf8) + [0])
        var link = try #require(try LinkInfo(bytes[...]))
        #expect(link.parentBus == "pci")
        link.parentBus = nil
        #expect(
            link
                == LinkInfo(
                    index: 4, name: "eth1", isUp: true, hasCarrier: true, operationalState: "up",
                    mtu: 9000, address: [2, 0, 0xab, 0, 0, 1], kind: "veth",
                    parentDevice: "0000:01:00.0"))
        #expect(link.addressText == "02:00:ab:00:00:01")
        #expect(try LinkInfo(header[...]) == nil)
        #expect(try LinkInfo([1, 2]) == nil)
    }

    @Test func leaseOfAQueueIsRead() throws {
        let lease =
            attribute(2 | 0x8000, attribute(1, raw(UInt32(1))) + attribute(3, raw(UInt32(0))))
            + attribute(1, raw(UInt32(12)))
        let start = attribute(1, raw(UInt32(5))) + attribute(3, raw(UInt32(0)))
        func queue(_ lease: [UInt8]) throws -> QueueInfo? {
            try QueueInfo(NetlinkAttributes((start + attribute(8 | 0x8000, lease))[...]))
        }
        #expect(try queue(lease)?.lease == QueueLease(interface: 12, queue: 1))
        let elsewhere = try queue(lease + attribute(3, raw(Int32(-1))))
        #expect(elsewhere?.lease == QueueLease(interface: 12, queue: 1, namespace: -1))
        #expect(elsewhere?.holder == "leased to a virtual interface")
        #expect(throws: DevmemError.self) { try queue([200, 0, 1, 0]) }
    }
}

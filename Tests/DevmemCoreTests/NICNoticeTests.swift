import CNetlink
import Glibc
import Testing

@testable import DevmemCore

/// Parsing of the kernel's notifications.
@Suite struct NICNoticeTests {
    private func message(type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        raw(UInt32(16 + payload.count)) + raw(type) + raw(UInt16(0)) + raw(UInt32(0))
            + raw(UInt32(0)) + payload
            + [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
    }

    private func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        raw(UInt16(4 + payload.count)) + raw(type) + payload
            + [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
    }

    /// Builds a struct ifinfomsg for an interface and address family.
    private func link(family: UInt8 = 0, index: UInt32 = 7) -> [UInt8] {
        [family, 0] + raw(UInt16(1)) + raw(index) + raw(UInt32(1)) + raw(UInt32(0))
    }

    private func links(_ datagram: [UInt8]) -> [NICNotice] {
        NICNotice.links(in: datagram, about: 7)
    }

    private func settings(_ datagram: [UInt8]) -> [NICNotice] {
        NICNotice.settings(in: datagram, about: 7, ethtool: 0x15, netdev: 0x16)
    }

    /// A NIC that moves is reported in two steps, in either order.
    @Test func whatIsGoneStaysGone() {
        for notices in [
            [NICNotice.gone(isMoved: true), .gone(isMoved: false), .link],
            [.link, .gone(isMoved: false), .gone(isMoved: true)],
        ] {
            var news = NICMonitor.News()
            for notice in notices { news.add(notice) }
            #expect(news == NICMonitor.News(isDue: true, isGone: true, isMoved: true))
        }
        var news = NICMonitor.News()
        #expect(!news.isDue && !news.isGone)
        news.add(.gone(isMoved: false))
        #expect(news.isGone && !news.isMoved)
    }

    @Test func readsLinks() {
        #expect(links(message(type: 16, link())) == [.link])
        #expect(links(message(type: 16, link(index: 8))) == [.other])
        #expect(links(message(type: 17, link())) == [.gone(isMoved: false)])
        let moved = message(type: 17, link() + attribute(45, raw(UInt32(0))))
        #expect(links(moved) == [.gone(isMoved: true)])
        #expect(links(message(type: 17, link(index: 8))).isEmpty)
    }

    /// A NIC that leaves a bridge still exists.
    @Test func aPortThatLeavesABridgeIsNotGone() {
        #expect(links(message(type: 17, link(family: 7))).isEmpty)
        #expect(links(message(type: 16, link(family: 7))).isEmpty)
    }

    @Test func readsSettings() {
        let header = attribute(1 | 0x8000, attribute(1, raw(UInt32(7))))
        #expect(settings(message(type: 0x15, [18, 1, 0, 0] + header)) == [.settings])
        let others = attribute(1 | 0x8000, attribute(1, raw(UInt32(9))))
        #expect(settings(message(type: 0x15, [18, 1, 0, 0] + others)).isEmpty)
        let device = attribute(1, raw(UInt32(7)))
        #expect(settings(message(type: 0x16, [3, 1, 0, 0] + device)) == [.settings])
        #expect(settings(message(type: 0x99, [3, 1, 0, 0] + device)).isEmpty)
    }

    @Test func whatCannotBeReadMayBeAnything() {
        #expect(links(message(type: 16, [0, 0, 0])) == [.unclear])
        #expect(settings(message(type: 0x15, [18])) == [.unclear])
        #expect(settings(message(type: 0x15, [18, 1, 0, 0])) == [.unclear])
        #expect(
            settings(message(type: 0x16, [3, 1, 0, 0] + attribute(1, [7, 0, 0]))) == [.unclear])
        #expect(
            settings(message(type: 0x15, [18, 1, 0, 0, 0xff, 0xff, 1, 0])) == [.unclear])
        #expect(
            links(message(type: 17, link() + [0xff, 0xff, 45, 0])) == [.unclear])
        // A length that exceeds the datagram.
        #expect(links(raw(UInt32(9999)) + [UInt8](repeating: 0, count: 40)) == [.unclear])
        #expect(links(raw(UInt32(0)) + [UInt8](repeating: 0, count: 40)) == [.unclear])
        #expect(links([]).isEmpty && links([1, 2, 3]).isEmpty)
    }

    @Test func randomBytesDoNotTrap() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...120, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            if count >= 16 {
                bytes.replaceSubrange(0..<4, with: raw(UInt32.random(in: 12...130, using: &random)))
                bytes.replaceSubrange(
                    4..<6,
                    with: raw(UInt16([16, 17, 0x15, 0x16].randomElement(using: &random) ?? 16)))
            }
            _ = links(bytes)
            _ = settings(bytes)
        }
    }

    /// A socket without a port id receives no notifications.
    @Test func theListeningSocketHasANumber() throws {
        let socket = try NetlinkSocket(
            protocol: LinkNumber.netlinkRoute, familyHeaderLength: LinkNumber.headerLength)
        try socket.join(LinkNumber.linkGroup)
        var address = sockaddr_nl()
        var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(socket.rawValue, $0, &length)
            }
        }
        #expect(status == 0 && address.nl_pid != 0)
    }
}

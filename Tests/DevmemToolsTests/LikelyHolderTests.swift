import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct LikelyHolderTests {
    /// Lines of /proc/net/tcp on a little-endian machine: 192.0.2.1:5201.
    private func socket(
        state: String = "01", unread: String = "00000000", inode: UInt64, local: String = "010200C0"
    ) throws -> TCPSocket {
        try #require(
            TCPSocket(
                """
                 0: \(local):1451 020200C0:9C40 \(state) 00000001:\(unread) 00:00000000 00000000 \
                1000        0 \(inode) 2 0000000000000000 20 4 30 10 -1
                """))
    }

    private func process(
        _ pid: Int32, _ sockets: Set<UInt64>, dmabuf: Bool = false
    ) -> ProcessDescriptors {
        ProcessDescriptors(
            pid: pid, name: "p\(pid)", sockets: sockets, dmabufs: dmabuf ? [HeldDmabuf()] : [])
    }

    private let addresses = [IPAddress(bytes: [192, 0, 2, 1])].compactMap { $0 }

    @Test func linesOfProcfsAreRead() throws {
        let four = try socket(unread: "00030D40", inode: 77)
        #expect(four.local.description == "192.0.2.1:5201")
        #expect(four.remote.description == "192.0.2.2:40000")
        #expect(four.state == 1 && four.receiveQueue == 200_000 && four.inode == 77)
        #expect(try socket(state: "08", unread: "00000101", inode: 1).receiveQueue == 256)
        #expect(try socket(state: "08", inode: 1).receiveQueue == 0)
        let six = try #require(
            TCPSocket(
                """
                 3: B80D0120000001000000000001000000:1451 B80D0120000001000000000002000000:0016 08 \
                00000000:00000001 00:00000000 00000000     0        0 78 1 0000000000000000
                """))
        #expect(six.local.description == "[2001:db8:1::1]:5201")
        #expect(six.remote.description == "[2001:db8:1::2]:22")
    }

    @Test(arguments: [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid inode",
        "",
        " 0: 010200C0 020200C0:9C40 01 0:0 00:0 0 0 0 7", " 0: 01:1451 02:9C40 01 0:0 00:0 0 0 0 7",
    ])
    func otherLinesAreNot(line: String) {
        #expect(TCPSocket(line[...]) == nil)
    }

    @Test func linksOfProcfsAreRead() {
        var process = process(1, [])
        for link in ["socket:[812]", "/dmabuf:", "pipe:[9]", "/dev/null", "socket:[x]", ""] {
            process.note(link[...]) { [] }
        }
        #expect(process.sockets == [812] && process.hasDmabuf)
    }

    /// As Linux 7.0 prints it. A duplicated descriptor adds nothing.
    @Test func dmabufsOfProcfsAreRead() {
        var process = process(1, [])
        let lines: [Substring] = [
            "pos:\t0", "flags:\t02000002", "mnt_id:\t10", "ino:\t77", "size:\t67108864",
            "count:\t2",
            "exp_name:\tudmabuf", "name:\t",
        ]
        for _ in 0..<2 { process.note("/dmabuf:") { lines } }
        process.note("/dmabuf:") { ["size:\t-1", "exp_name:\tev\u{1b}il", "no colon", ":", ""] }
        #expect(process.dmabufs.map(\.bytes) == [64 << 20, nil])
        #expect(process.dmabufs.first?.exporter == "udmabuf")
        #expect(process.dmabufs.last?.exporter?.contains("\u{1b}") == false)
    }

    @Test func unreadPayloadIsHeldByTheSocketsProcesses() throws {
        let holders = likelyHolders(
            addresses: addresses, ofDevice: false,
            sockets: [
                try socket(unread: "00000100", inode: 1), try socket(inode: 2),
                try socket(unread: "00000100", inode: 3, local: "090200C0"),
            ],
            processes: [process(10, [1, 2]), process(11, [1]), process(12, [3])])
        #expect(holders.map(\.process?.pid) == [10, 11])
        #expect(holders.allSatisfy { $0.reason == .unread && $0.unreadBytes == 256 })
    }

    @Test func withoutAddressesAnyCounts() throws {
        let holders = likelyHolders(
            addresses: nil, ofDevice: false,
            sockets: [try socket(unread: "00000100", inode: 3, local: "090200C0")],
            processes: [])
        #expect(holders.map(\.process) == [nil])
    }

    @Test func whatIsNotAcceptedIsTheListeners() throws {
        let listening = try socket(state: "0A", unread: "00000001", inode: 5, local: "00000000")
        let holders = likelyHolders(
            addresses: addresses, ofDevice: false,
            sockets: [listening, try socket(unread: "00000100", inode: 0)],
            processes: [process(10, [5])])
        #expect(holders.map(\.process?.pid) == [10])
        #expect(holders.map(\.reason) == [.notAccepted])
    }

    @Test func tokensCountOnlyForDeviceMemory() throws {
        let sockets = [try socket(inode: 1), try socket(inode: 2)]
        let processes = [process(10, [1], dmabuf: true), process(11, [2])]
        let holders = likelyHolders(
            addresses: addresses, ofDevice: true, sockets: sockets, processes: processes)
        #expect(holders.map(\.process?.pid) == [10])
        #expect(holders.map(\.reason) == [.deviceMemory])
        #expect(
            likelyHolders(
                addresses: addresses, ofDevice: false, sockets: sockets, processes: processes
            ).isEmpty)
    }

    @Test func bindingHoldersHaveNetlinkSocketAndDmabuf() {
        var bound = QueueState(QueueInfo(id: 7, type: .rx))
        bound.info.dmabufID = 3
        var other = QueueState(QueueInfo(id: 6, type: .rx))
        other.info.dmabufID = 3
        let found = bindings(
            of: [QueueState(QueueInfo(id: 0, type: .rx)), other, bound],
            processes: [
                process(10, [1], dmabuf: true), process(11, [1]), process(12, [2], dmabuf: true),
            ], netlinkSockets: [1])
        #expect(found.map(\.dmabufID) == [3] && found.map(\.queues) == [[6, 7]])
        #expect(found.map { $0.likelyHolders.map(\.process.pid) } == [[10]])
    }

    @Test func detachedPoolsAreListedTheOldestFirst() {
        var young = PagePoolInfo(id: 1)
        young.detachedAt = 90
        var old = PagePoolInfo(id: 2)
        old.detachedAt = 40
        // A pool whose time is ahead of the clock.
        var future = PagePoolInfo(id: 3)
        future.detachedAt = 200
        let found = DetachedPool.all(in: [young, future, PagePoolInfo(id: 4), old], now: 100)
        #expect(found.map(\.pool.id) == [2, 1, 3])
        #expect(found.map(\.seconds) == [60, 10, 0])
    }
}

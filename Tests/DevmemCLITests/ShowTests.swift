import ArgumentParser
@testable import DevmemCore
import DevmemTools
import Testing

@testable import devmemtcp

/// Sample results of `show` with all optional parts.
enum ShowSamples {
    static let endpoint = Endpoint(address: address, port: 5201)
    private static let address: IPAddress = {
        guard let address = IPAddress(bytes: [192, 0, 2, 1]) else {
            preconditionFailure("four bytes make an address")
        }
        return address
    }()
    static let holder = LikelyHolder(
        process: ProcessName(pid: 812, name: "reader"), reason: .unread, unreadBytes: 5,
        local: endpoint, remote: endpoint)

    static var pool: PagePoolInfo {
        var pool = PagePoolInfo(id: 9)
        pool.inFlight = 2
        pool.inFlightBytes = 8192
        pool.dmabufID = 3
        return pool
    }

    static var boundQueue: QueueState {
        var info = QueueInfo(id: 7, type: .rx)
        info.napiID = 8200
        info.dmabufID = 3
        info.lease = QueueLease(interface: 12, queue: 1, namespace: 4)
        var napi = NAPIInfo(id: 8200)
        napi.pid = 55
        napi.irq = 33
        var queue = QueueState(info)
        queue.napi = napi
        queue.pools = [pool]
        queue.counters = ["rx-packets": 10, "rx-bytes": 2000]
        queue.rules = [5]
        queue.contexts = [1]
        return queue
    }

    static var state: InterfaceState {
        InterfaceState(
            summary: InterfaceSummary(
                link: LinkInfo(
                    index: 2, name: "eth1", operationalState: "up", mtu: 9000,
                    address: [2, 0, 0, 0, 0, 1], kind: "veth", parentDevice: "labnic.0"),
                driver: "labnic", speed: 2500,
                rings: RingSettings(headerSplit: .on, splitThreshold: 0, sizes: ["rx": 1024]),
                channels: ChannelCounts(combined: 8), queues: [boundQueue.info],
                detachedPools: [DetachedPool(pool: pool, seconds: 34)]),
            addresses: [endpoint.address],
            settings: NICSnapshot(
                driver: "labnic", rings: RingSettings(headerSplit: .on, splitThreshold: 0),
                channels: ChannelCounts(combined: 8), receiveQueues: [boundQueue.info],
                xdpProgram: 4, contexts: [RSSContext(id: 0, indirection: [0])],
                ntuple: FeatureState(isActive: true, isChangeable: true),
                ruleTable: FlowRuleTable(locations: [], capacity: 64, choosesLocation: true)),
            queues: [boundQueue, QueueState(QueueInfo(id: 0, type: .tx))],
            unassignedPools: [pool],
            bindings: [
                BindingState(
                    dmabufID: 3, queues: [7],
                    likelyHolders: [
                        BindingHolder(
                            process: ProcessName(pid: 812, name: "holder"),
                            dmabufs: [HeldDmabuf(bytes: 64 << 20, exporter: "udmabuf")])
                    ])
            ], likelyHolders: [holder])
    }

    static var rate: QueueRate {
        QueueRate(of: boundQueue, packets: 10, bytes: 2048, drops: 0, allocationFailures: 1)
    }

    /// Returns all reports as JSON.
    static func reports() throws -> [String] {
        var interface = InterfaceReport(state)
        interface.steering = SteeringReport.Steering(
            name: "x", state: "applied", owner: "steer", pid: 1, queues: [7], changes: [])
        interface.steeringProblem = "it is damaged"
        var list = InterfaceList(interfaces: [state.summary])
        list.orphanedPools = state.summary.detachedPools
        list.likelyHolders = [holder]
        let sample = QueueSample(
            time: .now, queues: [boundQueue], detachedPools: state.summary.detachedPools)
        return [
            try json(of: ShowReport(interfaces: [interface])), try json(of: ShowReport(list)),
            try json(
                of: WatchReport(
                    interface: "eth1", time: "now", seconds: 1, sample: sample, rates: [rate])),
        ]
    }
}

@Suite struct ShowTextTests {
    @Test func interfacesAreRowsOfATable() {
        var list = InterfaceList(interfaces: [
            ShowSamples.state.summary,
            InterfaceSummary(link: LinkInfo(index: 1, name: "lo", isUp: false)),
        ])
        let lines = text(of: list).split(separator: "\n")
        #expect(
            lines == [
                "interface  driver  link  speed         queues  split  hds-thresh  bound  steering",
                "eth1       labnic  up    2.5 Gb/s  1 rx, 0 tx  on              0  7      -",
                "lo         -       down  -                  -  -               -  -      -",
                "eth1: 1 page pool that cannot be freed, 8.0 KiB in flight, detached up to 34 s ago",
            ])
        list.orphanedPools = ShowSamples.state.summary.detachedPools
        #expect(text(of: list).contains("likely holder unknown: no visible connection"))
        #expect(text(of: InterfaceList(interfaces: [])) == "no interface with a device\n")
    }

    @Test func anInterfaceIsShownInDetail() {
        let printed = text(of: ShowSamples.state)
        for line in [
            "eth1: labnic, labnic.0, up, 2.5 Gb/s, MTU 9000, 02:00:00:00:00:01\n",
            "  addresses: 192.0.2.1\n", "  steering: none\n",
            "  dma-buf 3: bound to queues 7, likely by holder (pid 812, 64.0 MiB of udmabuf)\n",
            "  page pool 9 of dma-buf 3: 2 in flight, 8.0 KiB; queue unknown\n",
            "    page pool 9 of dma-buf 3: 2 in flight, 8.0 KiB; detached 34 s ago\n",
            "    likely held by reader (pid 812): 5 bytes unread, 192.0.2.1:5201 from 192.0.2.1:5201",
        ] {
            #expect(printed.contains(line), "\(printed)")
        }
        let words = printed.split(separator: "\n").first { $0.hasPrefix("  rx 7") }?.split {
            $0 == " "
        }.joined(separator: " ")
        #expect(
            words == "rx 7 8200 pid 55 irq 33 dma-buf 3, lease: queue 1 of interface 12 in netns 4 "
                + "9 8.0 KiB 0/1 rule 5, context 1 10 2000 - -")
    }

    @Test func numbersStandOnTheRight() {
        var table = TextTable(["name", "n#"])
        table.add(["a", "1"])
        table.add([nil, "100"])
        #expect(table.lines == ["name    n", "a       1", "-     100"])
    }
}

@Suite struct WatchScreenTests {
    private func rates(_ count: UInt32, active: Set<UInt32> = []) -> [QueueRate] {
        (0..<count).map {
            QueueRate(
                of: QueueState(QueueInfo(id: $0, type: .rx)), packets: active.contains($0) ? 5 : 0)
        }
    }

    @Test func rateBeyondAllNumbersIsShown() {
        var rate = QueueRate(of: QueueState(QueueInfo(id: 0, type: .rx)))
        for bytes in [1e30, .infinity, 0.4] {
            rate.bytes = bytes
            #expect(
                watchScreen(title: "eth1", rates: [rate], detached: [], rows: 24).count == 3)
        }
    }

    @Test func tallScreenShowsAllQueues() {
        let screen = watchScreen(title: "eth1", rates: rates(8), detached: [], rows: 24)
        #expect(screen.count == 10 && screen[0] == "eth1" && screen[9].hasPrefix("rx 7"))
    }

    @Test func shortScreenShowsActiveQueues() {
        let screen = watchScreen(
            title: "eth1", rates: rates(64, active: [3, 40]), detached: [], rows: 24)
        #expect(screen.count == 5 && screen[4] == "62 more queues")
        #expect(screen[2].hasPrefix("rx 3 ") && screen[3].hasPrefix("rx 40 "))
    }

    @Test(arguments: [1, 4, 5, 10, 24]) func aScreenNeverScrolls(rows: Int) {
        let detached = ShowSamples.state.summary.detachedPools
        let all = rates(64, active: Set(0..<64))
        let screen = watchScreen(title: "eth1", rates: all, detached: detached, rows: rows)
        #expect(screen.count <= max(rows - 1, 3))
    }
}

@Suite struct ShowArgumentTests {
    @Test func intervalsAreBounded() {
        #expect(Interval(argument: "0.1")?.milliseconds == 100)
        #expect(Interval(argument: "2.5")?.milliseconds == 2500)
        #expect(Interval(argument: "86400")?.milliseconds == 86_400_000)
        for text in ["", "0", "0.09", "-1", "86401", "nan", "inf", "1e99", "1 s", "x"] {
            #expect(Interval(argument: text) == nil, "\(text)")
        }
    }

    @Test(arguments: [
        ["--watch"], ["eth1", "--count", "2"], ["eth1", "--all"], ["eth1", "-w", "--count", "0"],
        ["eth1", "eth2"], ["eth1", "-w", "--interval", "0"],
        ["--prometheus", "--json"], ["eth1", "--prometheus", "--watch"],
        ["--prometheus-file", "x", "--json"], ["--prometheus", "--prometheus-file", "x"],
    ])
    func wrongUseEndsWith64(arguments: [String]) {
        #expect {
            _ = try Devmemtcp.parseAsRoot(["show"] + arguments)
        } throws: {
            Devmemtcp.exitCode(for: $0).rawValue == 64
        }
    }

    @Test func showTakesItsOptions() throws {
        let command = try #require(
            try Devmemtcp.parseAsRoot(["show", "eth1", "-w", "--interval", "0.5", "--count", "3"])
                as? Show)
        #expect(command.interface == "eth1" && command.watch && command.count == 3)
        #expect(command.interval.milliseconds == 500)
    }
}

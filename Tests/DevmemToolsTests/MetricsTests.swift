import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct MetricsTests {
    private func pool(_ id: UInt64, dmabuf: UInt32? = nil) -> PagePoolInfo {
        var pool = PagePoolInfo(id: id)
        pool.inFlight = 2
        pool.inFlightBytes = 8192
        pool.dmabufID = dmabuf
        return pool
    }

    /// A host with a value for each metric.
    private func host(driver: String = "labnic", process: String = "reader") throws -> HostState {
        var bound = QueueState(QueueInfo(id: 7, type: .rx))
        bound.info.dmabufID = 3
        bound.info.lease = QueueLease(interface: 12, queue: 1, namespace: 4)
        bound.pools = [pool(9, dmabuf: 3), pool(10)]
        bound.counters = ["rx-packets": 10, "rx-bytes": .max, "rx-alloc-fail": 4]
        bound.rssEntries = 16
        bound.contexts = [1]
        bound.rules = [5, 6]
        var sending = QueueState(QueueInfo(id: 7, type: .tx))
        sending.counters = ["tx-stop": 1]
        let endpoint = Endpoint(address: try #require(IPAddress(bytes: [192, 0, 2, 1])), port: 80)
        let owner = ProcessName(pid: 812, name: process)
        func holder(_ bytes: UInt64) -> LikelyHolder {
            LikelyHolder(
                process: owner, reason: .unread, unreadBytes: bytes, local: endpoint,
                remote: endpoint)
        }
        let detached = [
            DetachedPool(pool: pool(1), seconds: 34), DetachedPool(pool: pool(2), seconds: 3),
        ]
        let state = InterfaceState(
            summary: InterfaceSummary(
                link: LinkInfo(
                    index: 2, name: "eth1", hasCarrier: false, mtu: 9000,
                    parentDevice: "0000:3b:00.0"),
                driver: driver, speed: 200_000,
                rings: RingSettings(headerSplit: .on, splitThreshold: 0),
                queues: [bound.info, sending.info], detachedPools: detached),
            addresses: [],
            settings: NICSnapshot(
                driver: driver, rings: RingSettings(headerSplit: .on, splitThreshold: 0),
                receiveQueues: [bound.info],
                contexts: [
                    RSSContext(id: 0, indirection: [0]), RSSContext(id: 1, indirection: [7]),
                ],
                ntuple: nil,
                ruleTable: FlowRuleTable(locations: [], capacity: 64, choosesLocation: true)),
            queues: [bound, sending], unassignedPools: [pool(11)],
            bindings: [
                BindingState(
                    dmabufID: 3, queues: [7],
                    likelyHolders: [
                        BindingHolder(
                            process: owner,
                            dmabufs: [
                                HeldDmabuf(bytes: 64 << 20, exporter: "udmabuf"),
                                HeldDmabuf(bytes: .max, exporter: "udmabuf"),
                            ])
                    ])
            ], likelyHolders: [holder(5), holder(6)])
        var host = HostState(interfaces: [state])
        host.orphanedPools = [DetachedPool(pool: pool(4), seconds: 90)]
        host.orphanedJournals = 1
        host.likelyHolders = [
            LikelyHolder(
                process: nil, reason: .notAccepted, unreadBytes: 7, local: endpoint,
                remote: endpoint)
        ]
        host.problems = [("eth9", DevmemError(.system, call: "read"))]
        return host
    }

    private func metrics(of host: HostState) -> String { prometheusText(of: host, version: "1.2") }

    @Test func everyValueIsASample() throws {
        let lines = metrics(of: try host()).split(separator: "\n")
        let samples = lines.filter { !$0.hasPrefix("#") }
        let expected = #"""
            devmemtcp_build_info{version="1.2"} 1
            devmemtcp_interface_readable{interface="eth1"} 1
            devmemtcp_interface_readable{interface="eth9"} 0
            devmemtcp_interface_info{interface="eth1",driver="labnic",device="0000:3b:00.0"} 1
            devmemtcp_interface_up{interface="eth1"} 1
            devmemtcp_interface_carrier{interface="eth1"} 0
            devmemtcp_interface_speed_bytes_per_second{interface="eth1"} 25000000000
            devmemtcp_interface_mtu_bytes{interface="eth1"} 9000
            devmemtcp_interface_header_split{interface="eth1"} 1
            devmemtcp_interface_header_split_threshold_bytes{interface="eth1"} 0
            devmemtcp_interface_queues{interface="eth1",type="rx"} 1
            devmemtcp_interface_queues{interface="eth1",type="tx"} 1
            devmemtcp_interface_bound_queues{interface="eth1"} 1
            devmemtcp_interface_flow_rules{interface="eth1"} 0
            devmemtcp_interface_flow_rule_capacity{interface="eth1"} 64
            devmemtcp_interface_rss_contexts{interface="eth1"} 1
            devmemtcp_steering_state{interface="eth1",state="none"} 1
            devmemtcp_steering_state{interface="eth1",state="in_use"} 0
            devmemtcp_steering_state{interface="eth1",state="applied"} 0
            devmemtcp_steering_state{interface="eth1",state="left"} 0
            devmemtcp_steering_state{interface="eth1",state="stale"} 0
            devmemtcp_steering_state{interface="eth1",state="unreadable"} 0
            devmemtcp_steering_queues{interface="eth1"} 0
            devmemtcp_steering_changes{interface="eth1"} 0
            devmemtcp_orphaned_journals 1
            devmemtcp_queue_occupant_info{interface="eth1",queue="7",type="rx",occupant="dma-buf",binding="3"} 1
            devmemtcp_queue_occupant_info{interface="eth1",queue="7",type="rx",occupant="lease"} 1
            devmemtcp_queue_rss_entries{interface="eth1",queue="7"} 16
            devmemtcp_queue_rss_contexts{interface="eth1",queue="7"} 1
            devmemtcp_queue_flow_rules{interface="eth1",queue="7"} 2
            devmemtcp_queue_rx_packets_total{interface="eth1",queue="7"} 10
            devmemtcp_queue_rx_bytes_total{interface="eth1",queue="7"} 18446744073709551615
            devmemtcp_queue_rx_alloc_fail_total{interface="eth1",queue="7"} 4
            devmemtcp_queue_tx_stop_total{interface="eth1",queue="7"} 1
            devmemtcp_interface_bindings{interface="eth1"} 1
            devmemtcp_binding_queues{interface="eth1",binding="3"} 1
            devmemtcp_binding_holder_dmabuf_bytes{interface="eth1",binding="3",process="reader",pid="812",exporter="udmabuf"} 18446744073709551615
            devmemtcp_page_pool_in_flight_bytes{interface="eth1",pool="9",provider="dma-buf",binding="3"} 8192
            devmemtcp_page_pool_in_flight_bytes{interface="eth1",pool="10",provider="host"} 8192
            devmemtcp_page_pool_in_flight_bytes{interface="eth1",pool="11",provider="host"} 8192
            devmemtcp_page_pool_in_flight_buffers{interface="eth1",pool="9",provider="dma-buf",binding="3"} 2
            devmemtcp_page_pool_in_flight_buffers{interface="eth1",pool="10",provider="host"} 2
            devmemtcp_page_pool_in_flight_buffers{interface="eth1",pool="11",provider="host"} 2
            devmemtcp_page_pool_queue_info{interface="eth1",pool="9",queue="7"} 1
            devmemtcp_page_pool_queue_info{interface="eth1",pool="10",queue="7"} 1
            devmemtcp_detached_page_pools{interface="eth1"} 2
            devmemtcp_detached_page_pool_in_flight_bytes{interface="eth1"} 16384
            devmemtcp_detached_page_pool_age_seconds{interface="eth1"} 34
            devmemtcp_orphaned_page_pools 1
            devmemtcp_orphaned_page_pool_in_flight_bytes 8192
            devmemtcp_orphaned_page_pool_age_seconds 90
            devmemtcp_likely_holder_unread_bytes{interface="eth1",process="reader",pid="812",reason="unread"} 11
            devmemtcp_likely_holder_unread_bytes{reason="not-accepted"} 7
            """#
        #expect(samples == expected.split(separator: "\n"))
    }

    @Test func everyFamilyHasHelpATypeAndAName() throws {
        let lines = metrics(of: try host()).split(separator: "\n")
        var last = ""
        for (index, line) in lines.enumerated() where line.hasPrefix("# HELP ") {
            let name = String(line.split(separator: " ")[2])
            let kind = name.hasSuffix("_total") ? "counter" : "gauge"
            #expect(lines[index + 1] == "# TYPE \(name) \(kind)")
            #expect(line.hasSuffix(".") && line.count > name.count + 20)
            last = name
        }
        for line in lines where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: /[a-z_]+(\{.*\})? [0-9]+/) != nil)
        }
        #expect(last == "devmemtcp_likely_holder_unread_bytes")
    }

    @Test(arguments: [
        ("a\"b", "a\\\"b"), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("a\r\nb", "a\\\\x0d\\nb"),
        ("\u{1b}[2J", "\\\\x1b[2J"), ("\u{202e}x", "\\\\u{202e}x"), ("ä\u{301}", "ä\u{301}"),
        ("} 1\nx 2", "} 1\\nx 2"), ("", ""),
    ])
    func hostileNamesStayInTheirLabel(name: String, written: String) throws {
        let host = try host(driver: name, process: name)
        let lines = metrics(of: host).split(separator: "\n")
        #expect(
            lines.contains(
                "devmemtcp_interface_info{interface=\"eth1\",driver=\"\(written)\",device=\"0000:3b:00.0\"} 1"[
                    ...]
            ))
        #expect(lines.count { $0.contains(",process=\"\(written)\",pid=\"812\",") } == 2)
        #expect(lines.count == metrics(of: try self.host()).split(separator: "\n").count)
    }

    /// A reader refuses a text with a sample that it has seen.
    @Test func noSampleIsThereTwice() throws {
        var host = try host()
        host.interfaces += host.interfaces
        host.problems += host.problems
        let samples = metrics(of: host).split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(Set(samples.map { $0.prefix { $0 != " " } }).count == samples.count)
    }

    @Test func aHostWithoutNICsHasMetricsToo() {
        let lines = metrics(of: HostState(interfaces: [])).split(separator: "\n")
        let samples = lines.filter { !$0.hasPrefix("#") }
        let names = samples.map { String($0.prefix { $0 != "{" && $0 != " " }) }
        #expect(
            names == [
                "devmemtcp_build_info", "devmemtcp_orphaned_journals",
                "devmemtcp_orphaned_page_pools", "devmemtcp_orphaned_page_pool_in_flight_bytes",
                "devmemtcp_orphaned_page_pool_age_seconds",
            ])
    }

    @Test func everyCounterOfTheKernelHasAMetric() {
        #expect(Set(queueCounterHelp.map(\.name)) == Set(QueueStatistics.names))
        #expect(queueCounterHelp.count == QueueStatistics.names.count)
    }

    /// Returns an entry without a journal.
    private var unsteered: SteeredNIC {
        SteeredNIC(
            JournalStore.Key(namespace: 1, index: 2),
            in: JournalStore(directory: "/nonexistent/devmemtcp"), hasJournal: false,
            claimedBy: nil)
    }

    private var journal: SteeringJournal {
        var journal = SteeringJournal(
            interface: SteeringJournal.Interface(name: "eth1", index: 2, namespace: 1, boot: "b"),
            owner: SteeringJournal.Owner(pid: 9, startTime: 1, command: "devmemtcp steer"),
            plan: SteeringPlan(
                queues: [6, 7], changes: [.feature(.flowRules, wasWanted: false)]),
            on: NICSnapshot(
                rings: RingSettings(headerSplit: .on, splitThreshold: 0), receiveQueues: [],
                contexts: [], ntuple: nil, ruleTable: nil))
        journal.name = "training"
        return journal
    }

    @Test func steeringHasOneOfItsStates() {
        #expect(SteeringState(nil) == .none)
        var entry = unsteered
        #expect(SteeringState(entry) == .none)
        entry.holder = "devmemtcp, pid 9"
        #expect(SteeringState(entry) == .inUse)
        entry.journal = journal
        #expect(SteeringState(entry) == .inUse)
        entry.journal?.phase = .kept
        #expect(SteeringState(entry) == .applied)
        entry.holder = nil
        #expect(SteeringState(entry) == .applied)
        entry.journal?.phase = .active
        #expect(SteeringState(entry) == .left)
        entry.journal?.phase = .restoring
        #expect(SteeringState(entry) == .left)
        entry.journal = nil
        entry.problem = DevmemError(.malformed, call: "read")
        #expect(SteeringState(entry) == .unreadable)
        entry.isFromEarlierBoot = true
        #expect(SteeringState(entry) == .stale)
    }

    @Test func aJournalHasMetrics() throws {
        var host = try host()
        host.interfaces[0].summary.steering = unsteered
        host.interfaces[0].summary.steering?.journal = journal
        let text = metrics(of: host)
        for line in [
            "devmemtcp_steering_state{interface=\"eth1\",state=\"left\"} 1",
            "devmemtcp_steering_state{interface=\"eth1\",state=\"none\"} 0",
            "devmemtcp_steering_queues{interface=\"eth1\"} 2",
            "devmemtcp_steering_changes{interface=\"eth1\"} 1",
            "devmemtcp_steering_info{interface=\"eth1\",name=\"training\",owner=\"devmemtcp steer\"} 1",
        ] {
            #expect(text.contains("\n\(line)\n"), "\(line)")
        }
    }

    @Test func thisHostCanBeRead() throws {
        let host = try HostState(of: try NetworkInterface(named: "lo"), all: false)
        #expect(host.interfaces.map(\.summary.link.name) == ["lo"])
        #expect(metrics(of: host).contains("\ndevmemtcp_interface_up{interface=\"lo\"} "))
    }
}

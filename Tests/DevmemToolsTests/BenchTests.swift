import CDevmem
import FoundationEssentials
import Glibc
import Histogram
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BenchArrivalsTests {
    private func from(_ address: String, _ port: UInt16) -> BenchPlan.Source {
        BenchPlan.Source(address: address, port: port)
    }

    /// The kernel may assign one source port to connections to different ports.
    @Test func connectionsToDifferentPortsMayComeFromOne() throws {
        let ends = [
            from("192.0.2.2", 40000), from("192.0.2.2", 40000), from("192.0.2.2", 40001),
            from("::ffff:192.0.2.2", 40002),
        ]
        let arrivals = try AnnouncedSources(ends, ports: 2)
        #expect(arrivals.peers.count == 4)
        #expect(arrivals.peersOfPorts.map(\.count) == [2, 2])
        #expect(arrivals.peersOfPorts[0].contains(arrivals.peers[2]))
        #expect(!arrivals.peersOfPorts[1].contains(arrivals.peers[2]))
        let error = #expect(throws: DevmemError.self) { _ = try AnnouncedSources(ends, ports: 1) }
        #expect(error?.message == "it reports 3 connections for 4 flows")
    }

    @Test func connectionsFromNowhereAreRefused() {
        #expect(throws: DevmemError.self) {
            _ = try AnnouncedSources([from("anywhere", 1), from("192.0.2.2", 2)], ports: 2)
        }
        for ports in [.min, 0, 1, 5] {
            #expect(throws: Never.self) { _ = try AnnouncedSources([], ports: ports) }
        }
    }

    @Test func invalidSourceIsNotMatched() throws {
        let none = try Descriptor.open("/dev/null", O_RDONLY)
        let address = try #require(IPAddress(text: "192.0.2.1"))
        let shared = BenchConnection(
            Connection(owning: none, peer: Endpoint(address: address, port: 5)))
        let error = #expect(throws: DevmemError.self) {
            _ = try BenchRemoteSide.sources(of: [shared])
        }
        #expect(error?.operation.text == "ask where the connection to 192.0.2.1:5 comes from")
    }
}

@Suite struct BenchScheduleTests {
    @Test func flowsAreDealtToThreads() {
        let schedule = BenchSchedule(flows: 5, threads: 2)
        #expect(schedule.flowsOfThreads == [[0, 2, 4], [1, 3]])
    }

    @Test func noThreadIsWithoutFlows() {
        let schedule = BenchSchedule(flows: 2, threads: 8)
        #expect(schedule.flowsOfThreads == [[0], [1]])
    }

    @Test(arguments: [(1, 1), (10, 3), (7, 7), (2, 5), (1 << 40, 1024)] as [(UInt64, Int)])
    func sharesAddUp(bytes: UInt64, flows: Int) {
        let shares = (0..<flows).map { BenchSchedule.share(of: bytes, flow: $0, flows: flows) }
        #expect(shares.reduce(0, +) == bytes)
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1)
    }

    @Test func portsShareFlows() {
        #expect((0..<5).map { BenchSchedule.port(of: $0, ports: 2) } == [0, 1, 0, 1, 0])
    }
}

/// A valid plan.
func goodPlan() -> BenchPlan {
    var plan = BenchPlan()
    plan.inbound = BenchPlan.Direction(sender: .host, receiver: .device)
    plan.seconds = 1
    return plan
}

@Suite struct BenchPlanTests {
    @Test func goodPlanPasses() throws {
        try goodPlan().check()
    }

    static let hostile: [@Sendable (inout BenchPlan) -> Void] = [
        { $0.inbound = nil }, { $0.seconds = nil }, { $0.bytes = 5 }, { $0.seconds = .nan },
        { $0.seconds = .infinity }, { $0.seconds = -1 }, { $0.warmUp = .nan }, { $0.warmUp = -1 },
        { $0.flows = 0 }, { $0.flows = .max }, { $0.flows = -3 }, { $0.threads = 0 },
        { $0.threads = .max }, { $0.message = 0 }, { $0.message = .max }, { $0.segment = 0 },
        { $0.congestion = "" }, { $0.congestion = "x\0y" }, { $0.congestion = "../etc" },
        { $0.pace = 0 }, { $0.requestSize = 0 }, { $0.requestSize = 5 }, { $0.memory = 0 },
        { $0.memory = .max }, { $0.remoteProcessors = [-1] }, { $0.remoteProcessors = [4096] },
        { $0.source = BenchPlan.Source(address: "far", port: 9) },
        { $0.source = BenchPlan.Source(address: "192.0.2.2", port: 0) },
        {
            $0.source = BenchPlan.Source(address: "192.0.2.2", port: 65530)
            $0.flows = 7
        },
        {
            $0.source = BenchPlan.Source(address: "192.0.2.2", port: 9)
            $0.flows = .min
        },
        {
            $0.seconds = nil
            $0.bytes = .max
        },
    ]

    @Test(arguments: hostile.indices) func badPlanIsRefused(index: Int) {
        var plan = goodPlan()
        Self.hostile[index](&plan)
        #expect(throws: DevmemError.self) { try plan.check() }
    }

    @Test func flowsWithKnownSourceHaveExactRules() throws {
        var plan = goodPlan()
        plan.flows = 3
        let near = [
            Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 80),
            Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 81),
        ]
        #expect(BenchRemoteSide.flows(of: plan, from: near).map(\.families.count) == [1, 1])
        plan.source = BenchPlan.Source(address: "192.0.2.2", port: 65533)
        try plan.check()
        let flows = BenchRemoteSide.flows(of: plan, from: near)
        #expect(
            flows.map { $0.families[0][0].description } == [
                "flow-type tcp4 src-ip 192.0.2.1 dst-ip 192.0.2.2 src-port 80 dst-port 65533 action 0",
                "flow-type tcp4 src-ip 192.0.2.1 dst-ip 192.0.2.2 src-port 81 dst-port 65534 action 0",
                "flow-type tcp4 src-ip 192.0.2.1 dst-ip 192.0.2.2 src-port 80 dst-port 65535 action 0",
            ])
        #expect(flows[0].families[0].count == 2)
    }

    @Test func rolesAreTheTwoSides() {
        var plan = goodPlan()
        plan.outbound = BenchPlan.Direction(sender: .device, receiver: .host)
        #expect(
            BenchRole.local(of: plan)
                == BenchRole(receives: .device, sends: .device, asks: true))
        #expect(
            BenchRole.remote(of: plan) == BenchRole(receives: .host, sends: .host, asks: false))
    }
}

/// A channel over a socket pair; what is written to `other` arrives in the channel.
func withChannel(
    _ body: (BenchChannel, Int32) throws -> Void
) throws {
    let (ours, theirs) = try makeChannel()
    let near = Descriptor(owning: ours)
    let far = Descriptor(owning: theirs)
    let channel = BenchChannel(
        input: near.rawValue, output: near.rawValue, to: "the peer",
        stop: SharedStopSignal(StopSignal()))
    try body(channel, far.rawValue)
    withExtendedLifetime(channel) {}
}

func say(_ text: String, to number: Int32) {
    let bytes = Array(text.utf8)
    _ = write(number, bytes, bytes.count)
}

@Suite struct BenchChannelTests {
    static let messages: [BenchMessage] = [
        .hello(version: 1), .plan(goodPlan(), address: "192.0.2.1", ports: [1, 2]), .ready,
        .connect, .connected(from: [BenchPlan.Source(address: "192.0.2.2", port: 5)]), .start,
        .stop(signal: 2),
        .queue(BenchEndReport.Queue(type: "rx", id: 3, counters: ["rx-bytes": .max])),
        .pool(BenchEndReport.Pool(id: 9, inFlight: .max, inFlightBytes: 4096)),
        .flow(BenchFlowReport(flow: 3)), .end(BenchEndReport()), .failure("no"),
        .interval(
            BenchSample(
                time: 1, seconds: 1, received: [1], sent: [2], user: 0, system: 0, softirq: 0)),
    ]

    @Test(arguments: messages.indices) func messagesArriveAsTheyWereSent(index: Int) throws {
        let message = Self.messages[index]
        try withChannel { channel, other in
            try writeJSONLine(message, to: other)
            #expect(try channel.fill())
            #expect(try channel.next() == message)
            #expect(try channel.next() == nil)
        }
    }

    @Test func greetingOfALoginIsPassedOver() throws {
        try withChannel { channel, other in
            say("Welcome to host\n{\"id\":0}\n", to: other)
            try writeJSONLine(BenchMessage.hello(version: BenchMessage.version), to: other)
            try channel.greet()
        }
    }

    @Test(arguments: [1, BenchMessage.version + 1]) func otherVersionIsRefused(version: Int) throws
    {
        try withChannel { channel, other in
            // With a field that a later version may add.
            say("{\"hello\":{\"version\":\(version),\"more\":[1]}}\n", to: other)
            let error = #expect(throws: DevmemError.self) { try channel.greet() }
            #expect(
                error?.description.contains(
                    "it speaks version \(version), this program \(BenchMessage.version)") == true)
        }
    }

    @Test func endBeforeAnAnswerIsReported() throws {
        try withChannel { channel, other in
            shutdown(other, Int32(SHUT_RDWR))
            let error = #expect(throws: DevmemError.self) {
                _ = try channel.receive(seconds: 5, "answer")
            }
            #expect(error?.description.contains("it is gone") == true)
            #expect(!channel.isOpen && channel.rawValue == -1)
        }
    }

    @Test func failureIsReportedInThePeersWords() throws {
        try withChannel { channel, other in
            try writeJSONLine(BenchMessage.failure("no such queue"), to: other)
            let error = #expect(throws: DevmemError.self) {
                _ = try channel.receive(seconds: 5, "set itself up")
            }
            #expect(
                error?.description == "the peer cannot set itself up: no such queue")
        }
    }

    @Test(arguments: [
        "nonsense\n", "{}\n", "[]\n", "{\"plan\":{}}\n", "{\"start\":1}\n", "\n",
        "{\"hello\":{\"version\":\"x\"}}\n", "{\"connected\":{\"from\":[70000]}}\n",
        "{\"ready\":{},\"start\":{}}\n", "\u{0}\u{1}\n",
        "{\"stop\":{\"signal\":99999999999}}\n",
        String(repeating: "[", count: 20000) + "\n",
    ])
    func hostileLinesAreRefused(line: String) throws {
        try withChannel { channel, other in
            try writeJSONLine(BenchMessage.hello(version: 1), to: other)
            say(line, to: other)
            #expect(try channel.fill())
            #expect(try channel.next() == .hello(version: 1))
            #expect(throws: DevmemError.self) {
                while try channel.next() == nil { _ = try channel.fill() }
            }
        }
    }

    /// A peer that sends endless lines must not extend the timeout.
    @Test(.timeLimit(.minutes(1))) func endlessLinesEndAtTheDeadline() throws {
        try withChannel { channel, other in
            let lines = Array(String(repeating: "{}\n", count: 1000).utf8)
            let ended = Mutex(false)
            let talking = try Thread {
                while !ended.withLock({ $0 }) {
                    _ = send(other, lines, lines.count, cdm_MSG_NOSIGNAL | cdm_MSG_DONTWAIT)
                }
            }
            let begun = ContinuousClock.now
            let error = #expect(throws: DevmemError.self) {
                _ = try channel.receive(seconds: 1, "answer")
            }
            ended.withLock { $0 = true }
            try talking.wait()
            #expect(error?.errno == .timedOut && ContinuousClock.now - begun < .seconds(20))
        }
    }

    @Test func readyIsTooLateAfterTheDeadline() throws {
        let zeros = try Descriptor.open("/dev/zero", O_RDONLY)
        let stop = SharedStopSignal(StopSignal())
        try stop.wait(
            for: zeros.rawValue, events: Int32(POLLIN), until: .after(.seconds(60)), "read")
        let error = #expect(throws: DevmemError.self) {
            try stop.wait(for: zeros.rawValue, events: Int32(POLLIN), until: .after(.zero), "read")
        }
        #expect(error?.errno == .timedOut)
    }

    /// A signal must not wait for a peer that does not read.
    @Test(.timeLimit(.minutes(1))) func signalShortensWriteToStalledPeer() throws {
        let (ours, theirs) = try makeChannel()
        let near = Descriptor(owning: ours)
        let far = Descriptor(owning: theirs)
        let broadcast = try StopBroadcast()
        let stop = SharedStopSignal(StopSignal(following: broadcast))
        let channel = BenchChannel(
            input: near.rawValue, output: near.rawValue, to: "the peer", stop: stop)
        try runInThread {
            try? awaitCondition("the channel is full") { () throws(DevmemError) in
                try !poll(ours, for: .output, milliseconds: 0)
            }
            broadcast.announce(SIGTERM)
        }
        let long = BenchMessage.failure(String(repeating: "x", count: 10_000))
        let begun = ContinuousClock.now
        let error = #expect(throws: DevmemError.self) {
            for _ in 0..<1000 { try channel.tell(long) }
        }
        #expect(error?.message == "it does not read")
        #expect(ContinuousClock.now - begun < .seconds(15))
        #expect(stop.pending() == SIGTERM)
        withExtendedLifetime(far) {}
    }

    /// A newline in a text would start another row of a summary.
    @Test func textsOfAPeerStandOnOneLine() throws {
        var flow = BenchFlowReport(flow: 1)
        flow.failure = "a\nb"
        var end = BenchEndReport()
        (end.interface, end.driver, end.failure) = ("eth1\npeer  fine", "x\r", "f\u{1b}[2J")
        var counts = ReceiveCounts()
        counts.ordinaryBytes = 1
        end.placement = PayloadPlacement(counts, reason: "r\n")
        let queue = BenchEndReport.Queue(type: "rx\n", id: 0, counters: ["c\n": 1])
        try withChannel { channel, other in
            for message in [.flow(flow), .end(end), .queue(queue), .failure("g\n")]
                as [BenchMessage]
            {
                try writeJSONLine(message, to: other)
            }
            var dumped = ""
            for _ in 0..<4 {
                var message = try channel.next()
                while message == nil {
                    #expect(try channel.fill())
                    message = try channel.next()
                }
                dump(message, to: &dumped)
            }
            let texts = [
                #"a\x0ab"#, #"eth1\x0apeer"#, #"x\x0d"#, #"f\x1b[2J"#, #"r\x0a"#, #"rx\x0a"#,
                #"c\x0a"#,
                #"g\x0a"#,
            ]
            for text in texts {
                // Escaped as by dump(_:).
                #expect(dumped.contains(text.replacing(#"\"#, with: #"\\"#)), "\(text)")
            }
        }
    }

    @Test func endlessLineIsRefused() throws {
        try withChannel { channel, other in
            let junk = String(repeating: "x", count: 8192)
            #expect(throws: DevmemError.self) {
                for _ in 0..<40 {
                    say(junk, to: other)
                    while try channel.fill() {
                        var watched = pollfd(
                            fd: channel.rawValue, events: Int16(POLLIN), revents: 0)
                        if poll(&watched, 1, 0) == 0 { break }
                    }
                }
            }
        }
    }
}

/// A report of one side with two flows.
private func end(_ bytes: [UInt64], sent: [UInt64] = [0, 0]) -> BenchEndReport {
    var end = BenchEndReport()
    end.seconds = 2
    end.userSeconds = 1
    end.systemSeconds = 3
    end.flows = bytes.indices.map { index in
        var flow = BenchFlowReport(flow: index + 1)
        flow.received.deviceBytes = bytes[index]
        flow.received.ordinaryBytes = 1
        flow.received.fragments = 6
        flow.received.receiveCalls = 2
        flow.sent.sentBytes = sent[index]
        flow.retransmits = UInt64(index + 1)
        flow.roundTrip = 100
        return flow
    }
    return end
}

@Suite struct BenchReportTests {
    @Test func sumsAreThoseOfTheFlows() throws {
        let near = end([1000, 3000])
        let far = end([0, 0], sent: [1001, 3001])
        let report = BenchReport(
            goodPlan(), peer: "x", near: near, far: far, intervals: [])
        let inbound = try #require(report.inbound)
        #expect(inbound.bytes == 4002)
        #expect(inbound.bytes == inbound.flows.reduce(0) { $0 + $1.bytes })
        #expect(inbound.bytesPerSecond == 2001)
        #expect(inbound.flows.map(\.bytesPerSecond) == [500.5, 1500.5])
        // The values of the sender.
        #expect(inbound.retransmits == 3 && inbound.flows.map(\.roundTrip) == [100, 100])
        #expect(inbound.deviceBytes == 4000 && inbound.elsewhereBytes == 2)
        #expect(inbound.fragmentsPerCall == 3)
        #expect(inbound.wrongBytes == nil && report.outbound == nil && report.failure == nil)
    }

    @Test func costIsForEachGiB() {
        let near = end([1 << 30, (1 << 30) - 2])
        let report = BenchReport(goodPlan(), peer: "x", near: near, far: near, intervals: [])
        #expect(report.nearCost.user == 0.5 && report.nearCost.system == 1.5)
        let nothing = BenchCost(of: near, bytes: 0)
        #expect(nothing.user == 0 && nothing.system == 0)
    }

    @Test func whatWentWrongIsReported() {
        let good = end([5, 5])
        #expect(
            BenchReport(goodPlan(), peer: "x", near: good, far: nil, intervals: []).failure
                == "the peer sent no report")
        var empty = end([0, 0])
        for index in empty.flows.indices { empty.flows[index].received.ordinaryBytes = 0 }
        #expect(
            BenchReport(goodPlan(), peer: "x", near: empty, far: good, intervals: []).failure
                == "no payload arrived during the measurement")
        var wrong = good
        wrong.flows[0].failure = "it broke"
        #expect(
            BenchReport(goodPlan(), peer: "x", near: good, far: wrong, intervals: []).failure
                == "flow 1 on the peer: it broke")
        wrong.flows[1].validation = PatternComparison(
            checkedBytes: 9, wrongBytes: 1,
            firstMismatch: PatternChecker.Mismatch(offset: 4, expected: 5, found: 6))
        let report = BenchReport(goodPlan(), peer: "x", near: wrong, far: good, intervals: [])
        #expect(
            report.failure
                == "payload of flow 2 to this host is wrong from offset 4: found 6, expected 5")
        #expect(report.inbound?.wrongBytes == 1)
    }

    @Test func queuesTellWhatMoved() {
        func queue(_ id: UInt32, _ counters: [String: UInt64]) -> QueueStatistics {
            QueueStatistics(type: .rx, id: id, counters: counters)
        }
        let moved = queueCounters(
            from: [queue(0, ["rx-bytes": 5]), queue(1, ["rx-bytes": 5, "rx-packets": 9])],
            to: [
                queue(0, ["rx-bytes": 5]),
                queue(1, ["rx-bytes": 8, "rx-packets": 3, "rx-hw-drops": 2]),
                queue(2, ["rx-bytes": 1]),
            ])
        #expect(moved.map(\.id) == [1])
        // A counter that decreased is left out.
        #expect(moved.first?.counters == ["rx-bytes": 3, "rx-hw-drops": 2])
        #expect(moved.first?.type == "rx")
    }

    @Test func percentilesAreOrdered() {
        var histogram = Histogram<UInt64>(
            highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)
        for value in 1...1000 { histogram.record(UInt64(value) * 1000) }
        let latency = BenchLatency(histogram)
        #expect(latency.count == 1000)
        #expect(abs(latency.p50 - 500) < 1 && abs(latency.p99 - 990) < 2)
        let ordered = [
            latency.minimum, latency.p50, latency.p90, latency.p99, latency.p999, latency.maximum,
        ]
        #expect(ordered == ordered.sorted())
    }

    @Test func softirqTimeIsRead() {
        let tick = Double(sysconf(Int32(_SC_CLK_TCK)))
        #expect(CPUTime.softirq(in: "cpu  1 2 3 4 5 6 700 8 9 10") == 700 / tick)
        for line in ["", "cpu", "cpu0 1 2 3 4 5 6 700 8", "cpu a b c d e f g h"] {
            #expect(CPUTime.softirq(in: line[...]) == 0)
        }
    }
}

/// A report with two intervals.
private func drawn(flows: Int = 2) -> BenchReport {
    var plan = goodPlan()
    plan.flows = flows
    let near = (1...2).map { second in
        BenchSample(
            time: Double(second), seconds: 1,
            received: (0..<flows).map { UInt64(($0 + second) * 1_000_000) },
            sent: [UInt64](repeating: 0, count: flows), user: 0.25, system: 0.5, softirq: 0.125)
    }
    return BenchReport(
        plan, peer: "x", near: end([1, 1]), far: end([1, 1]),
        intervals: BenchInterval.joined(near: near, far: []))
}

@Suite struct BenchTextTests {
    @Test func csvHasALineForEachIntervalAndFlow() {
        let lines = benchCSV(of: drawn()).split(separator: "\n")
        #expect(lines.count == 5)
        #expect(lines[0].hasPrefix("time_s,interval_s,flow,inbound_bytes_per_s"))
        #expect(lines[1] == "1.000,1.000,1,1000000,0,0.2500,0.5000,0.0000,0.0000,0.1250")
        #expect(lines[4] == "2.000,1.000,2,3000000,0,0.2500,0.5000,0.0000,0.0000,0.1250")
        let columns = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).count }
        #expect(Set(columns) == [10])
    }

    @Test func decimalsHaveNoLocale() {
        #expect(decimal(1234.5678, 2) == "1234.57")
        #expect(decimal(0.005, 3) == "0.005")
        #expect(decimal(-1, 1) == "0.0" && decimal(2.5, 0) == "3")
        #expect(decimal(.infinity, 0) == "1000000000000000000" && decimal(.nan, 2) == "0.00")
    }

    @Test func plotHasACurveForEachFlow() {
        let plot = benchPlot(of: drawn())
        // The total and two flows, and three curves of CPU time.
        #expect(plot.components(separatedBy: "<polyline").count == 1 + 3 + 3)
        #expect(plot.contains("prefers-color-scheme: dark") && plot.contains("@media print"))
        #expect(plot.hasPrefix("<svg") && plot.hasSuffix("</svg>\n"))
        #expect(!plot.contains("nan") && !plot.contains("inf"))
        // Three and five million bytes per second are 24 and 40 Mbit/s: the curve rises.
        let sum = plot.split(separator: "\n").first { $0.hasPrefix("<polyline class=\"a\"") }
        let heights = (sum ?? "").matches(of: /,([0-9.]+)/).compactMap { Double($0.1) }
        #expect(heights.count == 2 && heights[0] > heights[1])
        #expect(heights.allSatisfy { (40.0...200.0).contains($0) })
    }

    @Test func plotOfNothingIsADrawing() {
        var report = drawn(flows: 1)
        report.intervals = []
        let plot = benchPlot(of: report)
        #expect(plot.contains("points=\"\"") && !plot.contains("nan"))
    }

    @Test func benchFailsWithoutDeviceMemory() {
        var plan = BenchPlan()
        plan.inbound = BenchPlan.Direction(sender: .host, receiver: .device)
        plan.bytes = 7
        var flow = BenchFlowReport(flow: 1)
        flow.received.ordinaryBytes = 7
        var near = BenchEndReport()
        near.flows = [flow]
        near.placement = PayloadPlacement(near.received, reason: "a rule")
        var far = BenchEndReport()
        far.flows = [BenchFlowReport(flow: 1)]
        func failure(_ allowed: Bool) -> String? {
            BenchReport(
                plan, peer: "x", near: near, far: far, intervals: [], allowsHostMemory: allowed
            ).failure
        }
        #expect(failure(false) == "on this host no payload came in device memory: a rule")
        #expect(failure(true) == nil)
    }
}

/// Writes a value as a line of JSON to a descriptor.
func writeJSONLine(
    _ value: some Encodable, to number: Int32, until deadline: Deadline = .after(messageTimeout)
) throws(DevmemError) {
    try writeLine(try jsonLine(of: value), to: number, until: deadline)
}

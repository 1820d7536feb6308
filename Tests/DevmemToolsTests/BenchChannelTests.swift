import CDevmem
import FoundationEssentials
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore
@testable import DevmemTools

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

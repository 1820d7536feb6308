import CDevmem
import FoundationEssentials
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// A flow with the maximum value in every field.
func hugeFlow(_ number: Int) -> BenchFlowReport {
    var flow = BenchFlowReport(flow: number)
    flow.received.deviceBytes = .max
    flow.received.linearBytes = .max
    flow.received.ordinaryBytes = .max
    flow.received.fragments = .max
    flow.received.receiveCalls = 1
    flow.received.tokenCalls = .max
    flow.sent.sentBytes = .max
    flow.sent.sendCalls = .max
    flow.retransmits = .max
    flow.roundTrip = .max
    flow.validation = PatternComparison(
        checkedBytes: .max, wrongBytes: .max,
        firstMismatch: PatternChecker.Mismatch(offset: .max, expected: 1, found: 2))
    return flow
}

private func sample(_ number: Double, flows: Int = 1, bytes: UInt64 = 1) -> BenchSample {
    let all = [UInt64](repeating: bytes, count: flows)
    return BenchSample(
        time: number, seconds: number, received: all, sent: all, user: number, system: number,
        softirq: number)
}

@Suite struct BenchHostileMessageTests {
    static let refused: [(BenchMessage, String)] = [
        (.flow(hugeFlow(1)), "a count of 18446744073709551615"),
        (.flow(BenchFlowReport(flow: .max)), "flow 9223372036854775807"),
        (.flow(BenchFlowReport(flow: .min)), "flow -9223372036854775808"),
        (.flow(BenchFlowReport(flow: 0)), "flow 0"),
        (.interval(sample(1e308)), "1e+308 seconds"),
        (.interval(sample(-1)), "-1.0 seconds"),
        (.interval(sample(1, bytes: .max)), "a count of 18446744073709551615"),
        (.interval(sample(1, flows: 2000)), "2000 flows"),
        (.stop(signal: .max), "signal 2147483647"),
        (.stop(signal: -1), "signal -1"),
        (.failure(String(repeating: "x", count: 20000)), "a text of 20000 bytes"),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.seconds = 1e300
                    return end
                }()), "1e+300 seconds"
        ),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.userSeconds = -5
                    return end
                }()), "-5.0 seconds"
        ),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.processors = String(repeating: "1,", count: 10000)
                    return end
                }()), "a text of 20000 bytes"
        ),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.processorsReason = String(repeating: "x", count: 20000)
                    return end
                }()), "a text of 20000 bytes"
        ),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.host = String(repeating: "x", count: 300)
                    return end
                }()), "a text of 300 bytes"
        ),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.kernel = String(repeating: "x", count: 300)
                    return end
                }()), "a text of 300 bytes"
        ),
        (
            .end(
                {
                    var end = BenchEndReport()
                    end.engineReason = String(repeating: "x", count: 20000)
                    return end
                }()), "a text of 20000 bytes"
        ),
        (
            .queue(
                BenchEndReport.Queue(
                    type: "rx", id: 0,
                    counters: [String(repeating: "n", count: 300): 1])),
            "a text of 300 bytes"
        ),
        (
            .connected(
                from: [BenchPlan.Source](
                    repeating: BenchPlan.Source(address: "::", port: 1), count: 1025)),
            "1025 flows"
        ),
    ]

    @Test(arguments: refused.indices) func valuesThatCannotBeAreRefused(index: Int) throws {
        let (message, words) = Self.refused[index]
        try withChannel { channel, other in
            let sending = try Thread { try? writeJSONLine(message, to: other) }
            let error = #expect(throws: DevmemError.self) {
                while try channel.next() == nil { _ = try channel.fill() }
            }
            #expect(error?.message == "it sent \(words)")
            try sending.wait()
        }
    }

    @Test(arguments: ["1e400", "-1e400", "NaN", "null", "\"1\""])
    func whatIsNoNumberIsRefused(number: String) throws {
        try withChannel { channel, other in
            try writeJSONLine(BenchMessage.hello(version: BenchMessage.version), to: other)
            say(
                #"{"interval":{"_0":{"time":\#(number),"seconds":1,"received":[1],"sent":[1],"#
                    + #""user":0,"system":0,"softirq":0}}}"# + "\n", to: other)
            #expect(try channel.fill())
            #expect(try channel.next() == .hello(version: BenchMessage.version))
            #expect(throws: DevmemError.self) {
                while try channel.next() == nil { _ = try channel.fill() }
            }
        }
    }

    @Test func reportPartsBeyondThePlanAreRefused() throws {
        var peer = PeerReportAssembler(flows: 2)
        let second = Duration.seconds(1)
        #expect(try peer.take(.flow(BenchFlowReport(flow: 1)), after: second))
        #expect(throws: DevmemError.self) {
            _ = try peer.take(.flow(BenchFlowReport(flow: 1)), after: second)
        }
        #expect(throws: DevmemError.self) {
            _ = try peer.take(.flow(BenchFlowReport(flow: 3)), after: second)
        }
        #expect(throws: DevmemError.self) {
            _ = try peer.take(.interval(sample(1, flows: 3)), after: second)
        }
        #expect(throws: DevmemError.self) {
            for _ in 0..<100 { _ = try peer.take(.interval(sample(1, flows: 2)), after: second) }
        }
        // At most as many as the elapsed seconds and the surplus.
        for _ in 0..<100 {
            _ = try peer.take(.interval(sample(1, flows: 2)), after: .seconds(200))
        }
        #expect(try peer.take(.end(BenchEndReport()), after: second))
        #expect(throws: DevmemError.self) {
            _ = try peer.take(.end(BenchEndReport()), after: second)
        }
        #expect(throws: DevmemError.self) {
            for id in UInt32(0)...20000 {
                let queue = BenchEndReport.Queue(type: "rx", id: id, counters: [:])
                _ = try peer.take(.queue(queue), after: second)
            }
        }
        #expect(try !peer.take(.start, after: second))
        #expect(peer.report?.flows.map(\.flow) == [1])
    }

    /// The kernel has about 25 counters per queue, and large NICs have thousands of queues.
    @Test func reportOfManyQueuesIsComplete() throws {
        var report = BenchEndReport()
        let names = (0..<25).map { "rx-some-counter-of-the-kernel-\($0)" }
        report.queues = (0..<4096).map { id in
            BenchEndReport.Queue(
                type: "rx", id: id, counters: names.reduce(into: [:]) { $0[$1] = .max })
        }
        report.pools = (0..<4096).map {
            BenchEndReport.Pool(id: $0, inFlight: .max, inFlightBytes: .max)
        }
        report.boundQueues = Array(0..<4096)
        report.flows = (1...1024).map(BenchFlowReport.init)
        let sent = report
        try withChannel { channel, other in
            let sending = try Thread {
                do throws(DevmemError) {
                    for message in sent.messages { try writeJSONLine(message, to: other) }
                } catch {
                    Issue.record(error)
                    shutdown(other, Int32(SHUT_RDWR))
                }
            }
            var peer = PeerReportAssembler(flows: 1024)
            while peer.report == nil {
                guard let message = try channel.next() else {
                    try #require(try channel.fill())
                    continue
                }
                #expect(try peer.take(message, after: .seconds(1)))
            }
            try sending.wait()
            #expect(peer.report == sent)
        }
    }

    @Test func overlongMessageIsNotSent() throws {
        try withChannel { _, other in
            let error = #expect(throws: DevmemError.self) {
                try writeJSONLine(
                    BenchMessage.failure(String(repeating: "x", count: LineReader.limit)), to: other
                )
            }
            #expect(error?.description.contains("is longer than the 262144 that it reads") == true)
        }
    }

    /// The longest message for a plan with the maximum number of flows.
    @Test func intervalOfAllFlowsFits() throws {
        let line = try JSONEncoder().encode(
            BenchMessage.interval(sample(1, flows: BenchPlan.limits.flows, bytes: .max)))
        #expect(line.count < LineReader.limit)
        let ends = BenchMessage.connected(
            from: [BenchPlan.Source](
                repeating: BenchPlan.Source(
                    address: "2001:db8:1111:2222:3333:4444:5555:6666", port: 65535),
                count: BenchPlan.limits.flows))
        #expect(try JSONEncoder().encode(ends).count < LineReader.limit)
    }
}

@Suite struct BenchSlowPeerTests {
    @Test func tricklingMessageTimesOut() throws {
        try withChannel { channel, other in
            let isOver = StopFlag()
            let sending = try Thread {
                // Longer than the timeout of a message, but with short gaps between bytes.
                for _ in 0..<60 where !isOver.value.load(ordering: .relaxed) {
                    var byte = UInt8(ascii: "{")
                    if write(other, &byte, 1) < 0 { return }
                    usleep(100_000)
                }
            }
            let begun = ContinuousClock.now
            let error = #expect(throws: DevmemError.self) {
                _ = try channel.receive(seconds: 1, "answer")
            }
            #expect(error?.errno == .timedOut)
            #expect(ContinuousClock.now - begun < .seconds(4))
            isOver.value.store(true, ordering: .relaxed)
            try sending.wait()
        }
    }

    @Test func peerThatReadsNothingIsGivenUp() throws {
        try withChannel { channel, other in
            let text = String(repeating: "x", count: 16000)
            let begun = ContinuousClock.now
            let error = #expect(throws: DevmemError.self) {
                for _ in 0..<1000 {
                    try writeJSONLine(
                        BenchMessage.failure(text), to: other, until: .after(.milliseconds(200)))
                }
            }
            #expect(error?.errno == .timedOut)
            #expect(ContinuousClock.now - begun < .seconds(20))
        }
    }

    @Test func deadlineIsNeverPastNorForEver() {
        #expect(Deadline.after(.seconds(-5)).milliseconds == 0)
        #expect((900...1000).contains(Deadline.after(.seconds(1)).milliseconds))
        #expect(Deadline.after(.seconds(1e12)).milliseconds == .max)
    }

    @Test func unrequestedRepliesAreBounded() throws {
        var replies = PendingReplies()
        let line = Array(#"{"id":7,"bytes":18446744073709551615}"#.utf8)
        let reply = try #require(LineReader.message(ValidationPeerReply.self, in: line))
        #expect(throws: DevmemError.self) {
            for _ in 0..<1000 { try replies.add(reply) }
        }
        // A login banner is not a message.
        #expect(LineReader.message(ValidationMessage.self, in: Array("Welcome".utf8)) == nil)
        var empty = PendingReplies()
        let (none, other, first) = (
            empty.remove { _ in true }, replies.remove { $0.id == 8 },
            replies.remove { $0.id == 7 }
        )
        #expect(none == nil && other == nil && first?.bytes == .max)
    }
}

@Suite struct BenchHostileReportTests {
    /// Messages with extreme values, accepted or not, must not trap.
    @Test func hugeNumbersAreReported() throws {
        var plan = goodPlan()
        plan.outbound = plan.inbound
        plan.flows = 3
        var end = BenchEndReport()
        end.flows = [hugeFlow(1), hugeFlow(1), hugeFlow(3)]
        end.seconds = .leastNonzeroMagnitude
        let report = BenchReport(plan, peer: "x", near: end, far: end, intervals: [])
        #expect(report.inbound?.bytes == .max && report.outbound?.bytes == .max)
        #expect(report.inbound?.retransmits == .max && report.inbound?.wrongBytes == .max)
        #expect(report.inbound?.elsewhereBytes == .max && report.inbound?.sentBytes == .max)
        #expect(report.inbound?.bytesPerSecond.isFinite == true)
        // JSON cannot represent infinity.
        _ = try JSONEncoder().encode(report)
        _ = benchCSV(of: report)
        _ = benchPlot(of: report)
    }

    static let numbers: [Double] = [
        1e308, -1e308, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, 0,
        .greatestFiniteMagnitude, 1e-300,
    ]

    @Test(arguments: numbers) func plotOfAnyNumberIsADrawing(number: Double) {
        var plan = goodPlan()
        plan.flows = 2
        let odd = BenchSample(
            time: number, seconds: number, received: [.max, .max], sent: [], user: number,
            system: number, softirq: number)
        for seconds in [1, number] {
            var other = odd
            other.seconds = seconds
            other.time = seconds
            let report = BenchReport(
                plan, peer: "x", near: BenchEndReport(), far: nil,
                intervals: BenchInterval.joined(near: [other, odd], far: [odd]))
            let plot = benchPlot(of: report)
            #expect(plot.hasSuffix("</svg>\n") && !plot.contains("nan") && !plot.contains("inf"))
            #expect(plot.utf8.count < 20000)
            #expect(!benchCSV(of: report).contains("nan"))
        }
    }

    @Test func sumsEndAtTheLargestNumber() {
        #expect([UInt64.max, 1, 5].saturatingSum == .max)
        #expect([UInt64(2), 3].saturatingSum == 5 && [UInt64]().saturatingSum == 0)
        var counts = ReceiveCounts()
        counts.deviceBytes = .max
        counts.ordinaryBytes = 1
        #expect((counts + counts).bytes == .max)
    }
}

/// Stops a thread.
private final class StopFlag: Sendable {
    let value = Atomic(false)
}

/// A thread that can be joined.
final class Thread: Sendable {
    private let event: Descriptor

    init(_ body: @escaping @Sendable () -> Void) throws {
        event = try makeEventDescriptor()
        try runInThread { [self] in
            body()
            notify(event)
        }
    }

    func wait() throws {
        _ = try StopSignal().wait(for: event.rawValue, events: Int32(POLLIN))
    }
}

import Glibc
import Histogram
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BenchReportTests {
    @Test func sumsAreThoseOfTheFlows() throws {
        let near = endReport([1000, 3000])
        let far = endReport([0, 0], sent: [1001, 3001])
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
        let near = endReport([1 << 30, (1 << 30) - 2])
        let report = BenchReport(goodPlan(), peer: "x", near: near, far: near, intervals: [])
        #expect(report.nearCost.user == 0.5 && report.nearCost.system == 1.5)
        let nothing = BenchCost(of: near, bytes: 0)
        #expect(nothing.user == 0 && nothing.system == 0)
    }

    @Test func whatWentWrongIsReported() {
        let good = endReport([5, 5])
        #expect(
            BenchReport(goodPlan(), peer: "x", near: good, far: nil, intervals: []).failure
                == "the peer sent no report")
        var empty = endReport([0, 0])
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

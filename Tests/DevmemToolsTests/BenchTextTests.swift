import Testing

@testable import DevmemCore
@testable import DevmemTools

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
        plan, peer: "x", near: endReport([1, 1]), far: endReport([1, 1]),
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

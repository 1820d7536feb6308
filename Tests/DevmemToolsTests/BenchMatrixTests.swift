import Foundation
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// Returns the report of a benchmark with a goodput in each direction, in Gbit/s.
private func report(
    _ near: String?, _ far: String?, peer: String = "ssh:far", inbound: Double? = nil,
    outbound: Double? = nil, failure: String? = nil
) throws -> String {
    func end(_ host: String?) -> BenchEndReport {
        var end = BenchEndReport()
        end.host = host
        return end
    }
    var plan = BenchPlan()
    let way = BenchPlan.Direction(sender: .host, receiver: .device)
    plan.inbound = inbound == nil ? nil : way
    plan.outbound = outbound == nil ? nil : way
    var report = BenchReport(
        plan, peer: peer, near: end(near), far: far.map { end($0) }, intervals: [])
    report.inbound?.bytesPerSecond = (inbound ?? 0) * 1e9 / 8
    report.outbound?.bytesPerSecond = (outbound ?? 0) * 1e9 / 8
    // One whose peer has sent no report has failed.
    if far != nil { report.failure = failure }
    report.time = "2026-11-29T12:00:00.000Z"
    return String(decoding: try JSONEncoder().encode(report), as: UTF8.self)
}

private func matrix(_ lines: String...) throws -> BenchMatrix {
    let text = lines.joined(separator: "\n") + "\n"
    return try BenchMatrix(try benchResults(in: Array(text.utf8), name: "results").pairs)
}

private func failure(_ text: String) -> DevmemError? {
    do throws(DevmemError) {
        _ = try benchResults(in: Array(text.utf8), name: "results")
        return nil
    } catch {
        return error
    }
}

@Suite struct BenchMatrixTests {
    @Test func eachDirectionIsAPair() throws {
        let matrix = try matrix(try report("a", "b", inbound: 8, outbound: 80))
        #expect(matrix.hosts == ["a", "b"])
        #expect(matrix.pairs.map(\.sender) == ["a", "b"])
        #expect(matrix.pairs.map(\.receiver) == ["b", "a"])
        #expect(matrix.pairs.map(\.bytesPerSecond) == [10e9, 1e9])
        #expect(matrix.pairs[0].memory == BenchPlan.Direction(sender: .host, receiver: .device))
        #expect(matrix.pairs[0].time == "2026-11-29T12:00:00.000Z")
    }

    @Test func theLastResultOfAPairCounts() throws {
        let matrix = try matrix(
            try report("a", "b", inbound: 8), try report("a", "c", inbound: 1),
            try report("a", "b", inbound: 16))
        #expect(matrix.pairs.map(\.bytesPerSecond) == [2e9, 0.125e9])
    }

    @Test func hostsAreInTheOrderOfTheirNumbers() throws {
        let matrix = try matrix(
            try report("node10", "node9", inbound: 1),
            try report("node2", "rack2-node1", inbound: 1),
            try report("node", "node09", inbound: 1),
            try report("rack10-node1", "18446744073709551616", inbound: 1))
        #expect(
            matrix.hosts == [
                "18446744073709551616", "node", "node2", "node09", "node9", "node10", "rack2-node1",
                "rack10-node1",
            ])
    }

    @Test func aPeerWithoutAReportIsKnownByItsPlace() throws {
        let matrix = try matrix(try report("a", nil, peer: "192.0.2.2:5201", inbound: 0))
        #expect(matrix.hosts == ["192.0.2.2:5201", "a"])
        #expect(matrix.pairs[0].failure != nil)
    }

    @Test func errorsAreCountedAndEmptyLinesAreNot() throws {
        let text = """

            {"version":1,"host":"a","time":"now","error":{"text":"it broke","kind":"system"}}
            \(try report("a", "b", inbound: 1))\r

            """
        let results = try benchResults(in: Array(text.utf8), name: "results")
        #expect(results.errors == 1 && results.pairs.count == 1)
    }

    @Test func whatIsNoReportIsRefused() throws {
        let good = try report("a", "b", inbound: 1)
        for (text, line) in [
            ("x", 1), ("\(good)\n{", 2), ("\n\n[]", 3), ("{\"inbound\":{}}", 1), ("\u{0}", 1),
        ] {
            #expect(
                failure(text)?.message == "line \(line) is not the report of a benchmark", "\(text)"
            )
        }
        #expect(failure("{}")?.message == "line 1 does not name its hosts")
        #expect(
            failure(try report(nil, "b", inbound: 1))?.message == "line 1 does not name its hosts")
        #expect(failure("") == nil)
    }

    @Test func moreHostsThanCanBeDrawnAreRefused() throws {
        let pair = try matrix(try report("a", "b", inbound: 1)).pairs[0]
        func pairs(_ count: Int) -> [BenchMatrix.Pair] {
            (1..<count).map {
                var other = pair
                other.receiver = "\($0)"
                return other
            }
        }
        #expect(try BenchMatrix(pairs(512)).hosts.count == 512)
        #expect(throws: DevmemError.self) { try BenchMatrix(pairs(513)) }
    }
}

@Suite struct BenchMatrixPlotTests {
    private func plot(_ lines: String...) throws -> String {
        let text = lines.joined(separator: "\n")
        return benchMatrixPlot(
            of: try BenchMatrix(try benchResults(in: Array(text.utf8), name: "x").pairs))
    }

    @Test func eachPairHasACell() throws {
        let svg = try plot(
            try report("a", "b", inbound: 10, outbound: 187.4),
            try report("c", "a", inbound: 0.25, failure: "a byte is wrong"))
        for part in [
            "goodput, Gbit/s: 3 hosts, 3 of 6 pairs measured, 1 of them failed",
            "<title>a to b: 187.400 Gbit/s, host to device memory, 2026-11-29T12:00:00.000Z</title>",
            ">187</text>", ">10.0</text>", "<title>b to a: 10.000 Gbit/s,",
            "<title>a to c: a byte is wrong</title>", "<title>c to a: not measured</title>",
            // The scale ends at a round number.
            ">0.00\u{2013}33.3</text>", ">167\u{2013}200</text>", ">not measured</text>",
            ">failed</text>", "receiver", "sender", "prefers-color-scheme: dark",
        ] {
            #expect(svg.contains(part), "\(part)")
        }
        // One in the legend; b to c, c to a and c to b are missing.
        #expect(svg.matches(of: /class="missing"/).count == 4)
        #expect(svg.matches(of: /class="failed"/).count == 2)
        #expect(svg.matches(of: /class="self"/).count == 3)
        #expect(svg.matches(of: /<rect class="s5"/).count == 2)
        #expect(svg.matches(of: /<rect class="s0"/).count == 2)
    }

    @Test func everyNumberCanBeDrawn() throws {
        var pair = try BenchMatrix(
            try benchResults(in: Array(try report("a", "b", inbound: 1).utf8), name: "x").pairs
        ).pairs[0]
        for number in [
            0, -1, 1e308, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, 1e-300, 1e15, 1e16,
        ] {
            pair.bytesPerSecond = number
            let svg = benchMatrixPlot(of: try BenchMatrix([pair]))
            #expect(!svg.contains("nan") && !svg.contains("inf"), "\(number)")
            #expect(svg.matches(of: /class="s[0-5]"/).count == 7, "\(number)")
        }
    }

    @Test func namesStayText() throws {
        let svg = try plot(
            try report("<b>&\"", "\u{1b}[2J\nx", inbound: 1),
            try report(String(repeating: "long", count: 30), "b", inbound: 1, failure: "<x>"))
        #expect(svg.contains(">&lt;b&gt;&amp;\"</text>"))
        #expect(svg.contains("\\x1b[2J\\x0ax"))
        #expect(svg.contains("&lt;x&gt;") && !svg.contains("<x>") && !svg.contains("<b>"))
        #expect(svg.contains(">longlonglonglonglonglon\u{2026}</text>"))
        for scalar in svg.unicodeScalars where scalar.value < 0x20 { #expect(scalar == "\n") }
    }

    /// What combines with markup makes another character of it, but not for a reader of XML, which
    /// has no place for U+FFFE and U+FFFF.
    @Test func combiningMarksHideNoMarkup() throws {
        let svg = try plot(
            try report("<\u{200d}x>\u{301}", "&\u{301};", inbound: 1),
            try report("\u{fffe}\u{ffff}\u{301}", "b", inbound: 1))
        for text in ["&lt;\u{200d}x&gt;\u{301}", "&amp;\u{301};", "\u{fffd}\u{fffd}\u{301}"] {
            #expect(Array(svg.unicodeScalars).contains(Array(text.unicodeScalars)), "\(text)")
        }
        for scalar in svg.unicodeScalars { #expect(scalar.value & 0xfffe != 0xfffe) }
    }

    @Test func manyHostsHaveSmallCells() throws {
        let pair = try BenchMatrix(
            try benchResults(in: Array(try report("a", "b", inbound: 1).utf8), name: "x").pairs
        ).pairs[0]
        func plot(_ count: Int) throws -> String {
            let pairs = (1..<count).map {
                var other = pair
                other.receiver = "\($0)"
                return other
            }
            return benchMatrixPlot(of: try BenchMatrix(pairs))
        }
        #expect(try plot(32).contains("width=\"46\" height=\"26\""))
        let many = try plot(33)
        #expect(many.contains("width=\"12\" height=\"12\"") && !many.contains("class=\"t5\""))
        #expect(
            many.matches(of: /<rect class="[a-z0-5]+" x="[0-9]+" y="[0-9]+"/).count == 33 * 33 + 8)
    }
}

import DevmemCore
/// Plots the intervals of a benchmark: goodput over time, in total and per flow, and below it the
/// CPU time of both sides. The colours suit print, and a dark background if the reader prefers one.
/// Pure.
///
/// - Parameter report: the benchmark.
/// - Returns: an SVG document.
package func benchPlot(of report: BenchReport) -> String {
    let end = drawable(max(report.intervals.last?.time ?? 0, 0.001))
    var goodput: [PlotCurve] = []
    let ways: [(String, [[UInt64]], Bool)] = [
        ("in", report.intervals.map(\.inbound), report.inbound != nil),
        ("out", report.intervals.map(\.outbound), report.outbound != nil),
    ]
    for (way, rows, isWanted) in ways where isWanted {
        goodput.append(
            PlotCurve(
                name: "\(way), sum", style: way == "in" ? "a" : "b",
                points: report.intervals.indices.map { index in
                    point(report.intervals[index], Double(rows[index].saturatingSum) * 8 / 1e9)
                }))
        guard report.plan.flows > 1 else { continue }
        for flow in 0..<min(report.plan.flows, BenchPlan.limits.flows) {
            goodput.append(
                PlotCurve(
                    name: flow == 0 ? "\(way), each flow" : nil,
                    style: way == "in" ? "a thin" : "b thin",
                    points: report.intervals.indices.map { index in
                        let bytes = rows[index].indices.contains(flow) ? rows[index][flow] : 0
                        return point(report.intervals[index], Double(bytes) * 8 / 1e9)
                    }))
        }
    }
    let processor = [
        PlotCurve(
            name: "this host", style: "c",
            points: report.intervals.map { point($0, ($0.nearUser + $0.nearSystem) * 100) }),
        PlotCurve(
            name: "peer", style: "d",
            points: report.intervals.map { point($0, ($0.farUser + $0.farSystem) * 100) }),
        PlotCurve(
            name: "this host's softirqs", style: "e",
            points: report.intervals.map { point($0, $0.softirq * 100) }),
    ]
    let panels = [
        PlotPanel(title: "goodput, Gbit/s", top: 40, end: end, curves: goodput),
        PlotPanel(title: "CPU time, % of one CPU", top: 270, end: end, curves: processor),
    ]
    return ([plotHead] + panels.flatMap(\.lines) + ["</svg>"]).map { $0 + "\n" }.joined()
}

/// Returns the rate of a value per second, at the middle of an interval.
private func point(_ interval: BenchInterval, _ value: Double) -> (x: Double, y: Double) {
    (
        drawable(interval.time - interval.seconds / 2),
        drawable(value / max(interval.seconds, 1e-9))
    )
}

/// Limits a number to what can be drawn: finite and not negative.
func drawable(_ number: Double) -> Double {
    // NaN is not greater than zero.
    number > 0 ? min(number, 1e15) : 0
}

/// Curves also differ in their dashes, for print without colour.
private let plotHead = """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 500" role="img" \
    font-family="sans-serif" font-size="12">
    <title>devmemtcp bench</title>
    <style>
    svg { background: #fff; color: #222; }
    text { fill: currentColor; }
    .axis { stroke: currentColor; fill: none; }
    .grid { stroke: currentColor; opacity: 0.2; }
    .a, .b, .c, .d, .e { fill: none; stroke-width: 2; }
    .a { stroke: #0b5cad; }
    .b { stroke: #b34700; stroke-dasharray: 7 3; }
    .c { stroke: #0b5cad; }
    .d { stroke: #b34700; stroke-dasharray: 7 3; }
    .e { stroke: #56702a; stroke-dasharray: 2 3; }
    .thin { stroke-width: 0.8; opacity: 0.7; }
    @media (prefers-color-scheme: dark) {
    svg { background: #16181c; color: #e6e6e6; }
    .a, .c { stroke: #6db3f2; }
    .b, .d { stroke: #ffa057; }
    .e { stroke: #b5d67a; }
    }
    @media print { svg { background: #fff; color: #000; } }
    </style>
    """

/// A curve of a plot.
private struct PlotCurve {
    /// The entry in the legend; nil for none.
    var name: String?
    /// The class in the style sheet.
    var style: String
    var points: [(x: Double, y: Double)]
}

/// A diagram of a plot, with axes and a legend.
private struct PlotPanel {
    private static let (left, width, height) = (60.0, 620.0, 160.0)

    var title: String
    var top: Double
    /// The time at the right edge, in seconds.
    var end: Double
    var curves: [PlotCurve]

    var lines: [String] {
        let highest = curves.flatMap(\.points).map(\.y).max() ?? 0
        let step = roundStep(for: highest)
        let limit = max((highest / step).rounded(.up), 1) * step
        let bottom = top + Self.height
        var lines = [
            "<text x=\"\(decimal(Self.left, 0))\" y=\"\(decimal(top - 22, 0))\">\(title)</text>"
        ]
        for tick in 0...Int((limit / step).rounded()) {
            let value = Double(tick) * step
            let y = decimal(bottom - value / limit * Self.height, 1)
            lines.append("<path class=\"grid\" d=\"M\(decimal(Self.left, 0)) \(y)h620\"/>")
            lines.append(
                "<text x=\"54\" y=\"\(y)\" dy=\"4\" text-anchor=\"end\">"
                    + "\(Self.label(value, step))</text>")
        }
        let stride = roundStep(for: end)
        for tick in 0...Int(end / stride) {
            let value = Double(tick) * stride
            let x = decimal(Self.left + value / end * Self.width, 1)
            lines.append(
                "<text x=\"\(x)\" y=\"\(decimal(bottom + 16, 0))\" text-anchor=\"middle\">"
                    + "\(Self.label(value, stride)) s</text>")
        }
        lines.append(
            "<path class=\"axis\" d=\"M\(decimal(Self.left, 0)) \(decimal(top, 0))v160h620\"/>")
        lines += curves.map { curve in
            let points = curve.points.map { point in
                decimal(Self.left + point.x / end * Self.width, 1) + ","
                    + decimal(bottom - point.y / limit * Self.height, 1)
            }
            return
                "<polyline class=\"\(curve.style)\" points=\"\(points.joined(separator: " "))\"/>"
        }
        return lines + legend
    }

    private var legend: [String] {
        let named = curves.compactMap { curve in curve.name.map { ($0, curve.style) } }
        return named.enumerated().flatMap { index, entry in
            let x = 215 + Double(index) * 125
            let y = decimal(top - 26, 0)
            return [
                "<path class=\"\(entry.1)\" d=\"M\(decimal(x, 0)) \(y)h24\"/>",
                "<text x=\"\(decimal(x + 30, 0))\" y=\"\(decimal(top - 22, 0))\">\(entry.0)</text>",
            ]
        }
    }

    private static func label(_ value: Double, _ step: Double) -> String {
        decimal(value, step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 4)
    }
}

/// Returns a round step that divides a range into four to ten parts.
func roundStep(for range: Double) -> Double {
    // Numbers outside of this range are not drawn.
    guard (1e-15...1e30).contains(range) else { return 1 }
    var unit = 1.0
    while unit > range { unit /= 10 }
    while unit * 10 <= range { unit *= 10 }
    let parts = range / unit
    return parts < 2 ? unit / 5 : parts < 5 ? unit / 2 : unit
}

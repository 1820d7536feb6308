import DevmemCore

/// Draws goodput between hosts: a row for each that sends, a column for each that receives. The
/// colours suit print, and a dark background if the reader prefers one. Pure.
///
/// - Parameter matrix: the goodput.
/// - Returns: an SVG document.
package func benchMatrixPlot(of matrix: BenchMatrix) -> String {
    MatrixPlot(matrix).lines.map { $0 + "\n" }.joined()
}

private struct MatrixPlot {
    /// The number of colours.
    private static let shades = 6
    /// The most hosts whose cells have room for a number.
    private static let mostWithNumbers = 32
    /// The longest label, in characters.
    private static let longestLabel = 24

    private let matrix: BenchMatrix
    /// The size of a cell.
    private let width: Double
    private let height: Double
    /// Where the cells begin.
    private let left: Double
    private let top: Double
    /// The goodput at the end of the last colour, in Gbit/s.
    private let limit: Double

    init(_ matrix: BenchMatrix) {
        self.matrix = matrix
        let hasNumbers = matrix.hosts.count <= Self.mostWithNumbers
        width = hasNumbers ? 48 : 14
        height = hasNumbers ? 28 : 14
        let longest = matrix.hosts.map { Self.label($0).count }.max() ?? 0
        // About the width of a character, twice the margin, and the title of the axis.
        left = Double(longest) * 7.5 + 44
        top = Double(longest) * 7.5 + 96
        let highest = matrix.pairs.filter { $0.failure == nil }.map(\.gigabits).max() ?? 0
        let step = roundStep(for: highest)
        limit = max((highest / step).rounded(.up), 1) * step
    }

    var lines: [String] {
        let count = Double(matrix.hosts.count)
        let legend = legend
        let size = (
            decimal(max(left + count * width + 20, legend.end), 0),
            decimal(top + count * height + 20, 0)
        )
        return [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(size.0) \(size.1)\" "
                + "width=\"\(size.0)\" height=\"\(size.1)\" role=\"img\" font-family=\"sans-serif\" "
                + "font-size=\"12\">", matrixHead,
            "<rect class=\"ground\" width=\"\(size.0)\" height=\"\(size.1)\"/>",
            "<text x=\"20\" y=\"26\" font-size=\"15\">goodput, Gbit/s: \(summary)</text>",
        ] + legend.lines + labels + cells + ["</svg>"]
    }

    private var summary: String {
        let others = matrix.pairs.count { $0.sender != $0.receiver }
        let all = matrix.hosts.count * max(matrix.hosts.count - 1, 0)
        let failed = matrix.pairs.count { $0.failure != nil }
        return
            "\(counted(matrix.hosts.count, "host")), \(others) of \(counted(all, "pair")) measured"
            + (failed > 0 ? ", \(failed) of them failed" : "")
    }

    /// The colours with their ranges, the marks of pairs without a number, and where they end.
    private var legend: (lines: [String], end: Double) {
        var lines: [String] = []
        var x = 20.0
        func add(_ mark: (String) -> [String], _ text: String) {
            lines += mark(decimal(x, 0))
            lines.append("<text x=\"\(decimal(x + 24, 0))\" y=\"56\">\(text)</text>")
            x += 24 + Double(text.count) * 7.5 + 12
        }
        for shade in 0..<Self.shades {
            let ends = [shade, shade + 1].map {
                Self.number(limit * Double($0) / Double(Self.shades))
            }
            add(
                { ["<rect class=\"s\(shade)\" x=\"\($0)\" y=\"44\" width=\"18\" height=\"16\"/>"] },
                "\(ends[0])\u{2013}\(ends[1])")
        }
        add(
            { x in
                [
                    "<rect class=\"failed\" x=\"\(x)\" y=\"44\" width=\"18\" height=\"16\"/>",
                    "<path class=\"cross\" d=\"M\(x) 44m3 3l12 10m0 -10l-12 10\"/>",
                ]
            }, "failed")
        add(
            { ["<rect class=\"missing\" x=\"\($0)\" y=\"44\" width=\"18\" height=\"16\"/>"] },
            "not measured")
        return (lines, x)
    }

    /// The names of the hosts, and of the axes.
    private var labels: [String] {
        var lines = [
            "<text x=\"\(decimal(left, 0))\" y=\"84\" class=\"axis\">receiver \u{2192}</text>",
            "<text transform=\"translate(24 \(decimal(top, 0))) rotate(-90)\" text-anchor=\"end\" "
                + "class=\"axis\">\u{2190} sender</text>",
        ]
        for (index, host) in matrix.hosts.enumerated() {
            let x = decimal(left + (Double(index) + 0.5) * width + 4, 1)
            let y = decimal(top + (Double(index) + 0.5) * height + 4, 1)
            let name = xmlEscaped(Self.label(host))
            lines.append(
                "<text transform=\"translate(\(x) \(decimal(top - 6, 0))) rotate(-90)\">\(name)</text>"
            )
            lines.append(
                "<text x=\"\(decimal(left - 6, 0))\" y=\"\(y)\" text-anchor=\"end\">\(name)</text>")
        }
        return lines
    }

    private var cells: [String] {
        var places: [String: Int] = [:]
        for (index, host) in matrix.hosts.enumerated() { places[host] = index }
        var measured: [[Int]: BenchMatrix.Pair] = [:]
        for pair in matrix.pairs {
            guard let row = places[pair.sender], let column = places[pair.receiver] else {
                continue
            }
            measured[[row, column]] = pair
        }
        return matrix.hosts.indices.flatMap { row in
            matrix.hosts.indices.flatMap { column in
                cell(row, column, measured[[row, column]])
            }
        }
    }

    private func cell(_ row: Int, _ column: Int, _ pair: BenchMatrix.Pair?) -> [String] {
        let x = left + Double(column) * width
        let y = top + Double(row) * height
        let (w, h) = (width - 2, height - 2)
        func rectangle(_ style: String, _ title: String) -> String {
            "<rect class=\"\(style)\" x=\"\(decimal(x + 1, 0))\" y=\"\(decimal(y + 1, 0))\" "
                + "width=\"\(decimal(w, 0))\" height=\"\(decimal(h, 0))\">"
                + "<title>\(xmlEscaped(title))</title></rect>"
        }
        let way = "\(matrix.hosts[row]) to \(matrix.hosts[column])"
        guard let pair else {
            // A host need not send to itself.
            return row == column
                ? [rectangle("self", matrix.hosts[row])]
                : [rectangle("missing", "\(way): not measured")]
        }
        if let failure = pair.failure {
            let (dx, dy) = (decimal(w - 6, 0), decimal(h - 6, 0))
            return [
                rectangle("failed", "\(way): \(failure)"),
                "<path class=\"cross\" d=\"M\(decimal(x + 4, 0)) \(decimal(y + 4, 0))"
                    + "l\(dx) \(dy)m0 -\(dy)l-\(dx) \(dy)\"/>",
            ]
        }
        let share = pair.gigabits / limit * Double(Self.shades)
        let shade = min(Int(share), Self.shades - 1)
        let title =
            "\(way): \(decimal(pair.gigabits, 3)) Gbit/s, \(pair.memory.sender.rawValue) to "
            + "\(pair.memory.receiver.rawValue) memory" + (pair.time.map { ", \($0)" } ?? "")
        let box = rectangle("s\(shade)", title)
        guard matrix.hosts.count <= Self.mostWithNumbers else { return [box] }
        return [
            box,
            "<text class=\"t\(shade)\" x=\"\(decimal(x + width / 2, 1))\" "
                + "y=\"\(decimal(y + height / 2 + 4, 1))\" text-anchor=\"middle\">"
                + "\(Self.number(pair.gigabits))</text>",
        ]
    }

    /// Formats goodput with three digits or all before the point.
    private static func number(_ gigabits: Double) -> String {
        gigabits >= 1e6
            ? "\(decimal(gigabits / 1e6, 0))M"
            : decimal(gigabits, gigabits >= 100 ? 0 : gigabits >= 10 ? 1 : 2)
    }

    /// Returns a host's name as far as there is room.
    private static func label(_ host: String) -> String {
        host.count <= longestLabel ? host : "\(host.prefix(longestLabel - 1))\u{2026}"
    }
}

extension BenchMatrix.Pair {
    /// Goodput that can be drawn, in Gbit/s.
    fileprivate var gigabits: Double { drawable(bytesPerSecond) * 8 / 1e9 }
}

/// Escapes text for XML, which has no place for control characters, visible by now, and for U+FFFE and
/// U+FFFF.
private func xmlEscaped(_ text: String) -> String {
    // Not by character: with a mark that combines with it, < is another character, but still markup.
    printable(text).unicodeScalars.reduce(into: "") { result, scalar in
        switch scalar {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\u{fffe}", "\u{ffff}": result += "\u{fffd}"
        default: result.unicodeScalars.append(scalar)
        }
    }
}

/// Light colours for little on a light ground, dark ones on a dark ground; each has a text that can be
/// read on it.
private let matrixHead = """
    <title>devmemtcp bench matrix</title>
    <defs>
    <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" \
    patternTransform="rotate(45)"><path class="line" d="M3 0v6"/></pattern>
    </defs>
    <style>
    .ground { fill: #fff; }
    text { fill: #222; }
    .axis { font-weight: bold; }
    .line, .cross { stroke: #888; fill: none; }
    .missing { fill: url(#hatch); stroke: #888; stroke-width: 0.5; }
    .self { fill: none; }
    .failed { fill: #fff; stroke: #b3261e; }
    .cross { stroke: #b3261e; stroke-width: 2; }
    .s0 { fill: #e8f1fa; } .s1 { fill: #c3dcf2; } .s2 { fill: #8fbfe6; }
    .s3 { fill: #4f95d0; } .s4 { fill: #1f69ac; } .s5 { fill: #0a3f73; }
    .t4, .t5 { fill: #fff; }
    @media (prefers-color-scheme: dark) {
    .ground { fill: #16181c; }
    text { fill: #e6e6e6; }
    .failed { fill: #16181c; stroke: #ff8a80; }
    .cross { stroke: #ff8a80; }
    .s0 { fill: #10263c; } .s1 { fill: #123d63; } .s2 { fill: #17588f; }
    .s3 { fill: #3d8fd1; } .s4 { fill: #7db9ea; } .s5 { fill: #c4e1f8; }
    .t3, .t4, .t5 { fill: #000; }
    }
    </style>
    """

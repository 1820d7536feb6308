import DevmemCore
/// Writes results in TAP version 13, as the kernel's selftests in Python print it (`ksft_run` of
/// tools/testing/selftests/net/lib/py/ksft.py): a line for each case and nothing nested, because that
/// is what test farms read results of single cases from. Pure: the lines are returned.
package struct TAPWriter: Sendable {
    private let planned: Int
    private var done = 0
    private var counts: [String: Int] = [:]

    /// Starts with how many cases are going to run.
    package init(planned: Int) {
        self.planned = planned
    }

    /// The lines before the first result.
    package var heading: String { "TAP version 13\n1..\(planned)\n" }

    /// The lines of one result: what is wrong, as a comment, and the result itself.
    package mutating func lines(for result: CaseResult) -> String {
        done += 1
        counts[result.verdict.name, default: 0] += 1
        let name = "\(Self.plain(result.family)).\(Self.plain(result.name))"
        return switch result.verdict {
        case .pass: "ok \(done) \(name)\n"
        case .skip(let why): "ok \(done) \(name) # SKIP \(Self.oneLine(why))\n"
        case .fail(let message):
            "# \(name): \(Self.oneLine(message))\nnot ok \(done) \(name)\n"
        }
    }

    /// The line behind the last result.
    package var totals: String {
        func count(_ name: String) -> Int { counts[name] ?? 0 }
        return "# Totals: pass:\(count("pass")) fail:\(count("fail")) xfail:0 xpass:0 "
            + "skip:\(count("skip")) error:0\n"
    }

    /// A test's name: a number sign would begin a directive, and blanks may be cut.
    static func plain(_ name: String) -> String {
        String(oneLine(name).map { $0 == "#" || $0 == " " ? "_" : $0 })
    }

    /// Text that fits behind a directive or in a diagnostic line. A line's end would begin another
    /// line, and a number sign another directive.
    static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": line += "\\\\"
            case "#": line += "\\#"
            case "\n": line += "\\n"
            case _
            where scalar.properties.generalCategory == .control
                || scalar.properties.generalCategory == .lineSeparator
                || scalar.properties.generalCategory == .paragraphSeparator:
                line += " "
            default: line.unicodeScalars.append(scalar)
            }
        }
        return line
    }
}

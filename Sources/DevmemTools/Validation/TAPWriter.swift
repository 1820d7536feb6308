import DevmemCore
/// A writer of results in TAP version 13, as the kernel's Python selftests print it (`ksft_run` of
/// tools/testing/selftests/net/lib/py/ksft.py). It prints one line per case without nesting,
/// because test farms read per-case results from that. Pure: the lines are returned.
package struct TAPWriter: Sendable {
    private let planned: Int
    private var done = 0
    private var counts: [String: Int] = [:]

    /// Creates a writer for the given number of cases.
    package init(planned: Int) {
        self.planned = planned
    }

    /// The lines before the first result.
    package var heading: String { "TAP version 13\n1..\(planned)\n" }

    /// Returns the lines of one result; a failure's message precedes it as a comment.
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

    /// The summary line after the last result.
    package var totals: String {
        func count(_ name: String) -> Int { counts[name] ?? 0 }
        return "# Totals: pass:\(count("pass")) fail:\(count("fail")) xfail:0 xpass:0 "
            + "skip:\(count("skip")) error:0\n"
    }

    /// Escapes a test name. A number sign would start a directive, and spaces may be trimmed.
    static func plain(_ name: String) -> String {
        String(oneLine(name).map { $0 == "#" || $0 == " " ? "_" : $0 })
    }

    /// Escapes text for a directive or a diagnostic line. A newline would start another line, and a
    /// number sign a directive.
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

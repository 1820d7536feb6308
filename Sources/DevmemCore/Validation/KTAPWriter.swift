/// Writes results as KTAP version 1 (Documentation/dev-tools/ktap.rst of the kernel): a test for
/// each family, its cases nested in it. Pure: the lines are returned.
public struct KTAPWriter: Sendable {
    private let families: [(name: String, count: Int)]
    private var family = 0
    private var done = 0
    private var verdicts: [CaseVerdict] = []
    private var counts: [String: Int] = [:]

    /// Starts with what is going to run.
    ///
    /// - Parameter cases: the family of each case, in order; those of a family stand together.
    public init(families cases: [String]) {
        var families: [(name: String, count: Int)] = []
        for name in cases {
            if families.last?.name == name {
                families[families.count - 1].count += 1
            } else {
                families.append((name, 1))
            }
        }
        self.families = families
    }

    /// The lines before the first result.
    public var heading: String {
        "KTAP version 1\n1..\(families.count)\n"
    }

    /// The lines of one result, with those that begin and end its family where they are due.
    public mutating func lines(for result: CaseResult) -> String {
        var text = ""
        if done == 0, families.indices.contains(family) {
            let (name, count) = families[family]
            text += "  KTAP version 1\n  # Subtest: \(Self.plain(name))\n  1..\(count)\n"
        }
        done += 1
        counts[result.verdict.name, default: 0] += 1
        verdicts.append(result.verdict)
        if case .fail(let message) = result.verdict {
            text +=
                "  # \(Self.plain(result.family)).\(Self.plain(result.name)): \(Self.oneLine(message))\n"
        }
        text += "  " + Self.line(done, result.name, result.verdict)
        if families.indices.contains(family), done == families[family].count {
            text += Self.line(family + 1, families[family].name, Self.sum(verdicts))
            family += 1
            done = 0
            verdicts = []
        }
        return text
    }

    /// The line behind the last result.
    public var totals: String {
        func count(_ name: String) -> Int { counts[name] ?? 0 }
        return "# Totals: pass:\(count("pass")) fail:\(count("fail")) xfail:0 xpass:0 "
            + "skip:\(count("skip")) error:0\n"
    }

    /// What a family comes to.
    private static func sum(_ verdicts: [CaseVerdict]) -> CaseVerdict {
        if verdicts.contains(where: { $0.name == "fail" }) { return .fail("") }
        return verdicts.contains(.pass) ? .pass : .skip("all of its cases were skipped")
    }

    private static func line(_ number: Int, _ name: String, _ verdict: CaseVerdict) -> String {
        switch verdict {
        case .pass: "ok \(number) \(plain(name))\n"
        case .fail: "not ok \(number) \(plain(name))\n"
        case .skip(let why): "ok \(number) \(plain(name)) # SKIP \(oneLine(why))\n"
        }
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

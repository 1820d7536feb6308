import Testing

@testable import DevmemCore

private func result(_ family: String, _ name: String, _ verdict: CaseVerdict) -> CaseResult {
    CaseResult(family: family, name: name, title: "", verdict: verdict, seconds: 0)
}

@Suite struct KTAPTests {
    @Test func familiesAreNestedTests() {
        let results = [
            result("bind", "good", .pass), result("bind", "bad", .fail("it broke")),
            result("send", "all", .skip("no far end")),
        ]
        var writer = KTAPWriter(families: results.map(\.family))
        var text = writer.heading
        for one in results { text += writer.lines(for: one) }
        text += writer.totals
        #expect(
            text == """
                KTAP version 1
                1..2
                  KTAP version 1
                  # Subtest: bind
                  1..2
                  ok 1 good
                  # bind.bad: it broke
                  not ok 2 bad
                not ok 1 bind
                  KTAP version 1
                  # Subtest: send
                  1..1
                  ok 1 all # SKIP no far end
                ok 2 send # SKIP all of its cases were skipped
                # Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0

                """)
    }

    @Test func familyWithOnePassPasses() {
        var writer = KTAPWriter(families: ["bind", "bind"])
        _ = writer.lines(for: result("bind", "one", .skip("no")))
        #expect(writer.lines(for: result("bind", "two", .pass)).hasSuffix("\nok 1 bind\n"))
    }

    @Test(arguments: [
        ("a#b", "a\\#b"), ("two\nlines", "two\\nlines"), ("\\", "\\\\"), ("\r\tx\u{0}", "  x "),
        ("not ok 1\nok 2 # SKIP", "not ok 1\\nok 2 \\# SKIP"), ("\u{2028}é\u{85}", " é "),
        ("a\r\nb", "a \\nb"), ("\u{1b}[31m", " [31m"),
    ]) func messagesStayOnTheirLine(text: String, expected: String) {
        #expect(KTAPWriter.oneLine(text) == expected)
        var writer = KTAPWriter(families: ["f"])
        let lines = writer.lines(for: result("f", "n", .fail(text)))
        #expect(lines.split(separator: "\n").count == 6)
    }

    @Test func namesHoldNoDirective() {
        #expect(KTAPWriter.plain("a # SKIP\nb") == "a_\\__SKIP\\nb")
        var writer = KTAPWriter(families: ["f"])
        #expect(writer.lines(for: result("f", "x # TODO", .pass)).contains("ok 1 x_\\__TODO\n"))
    }

    @Test func resultsBeyondThePlanAreWrittenAllTheSame() {
        var writer = KTAPWriter(families: [])
        #expect(writer.heading == "KTAP version 1\n1..0\n")
        #expect(writer.lines(for: result("f", "x", .pass)) == "  ok 1 x\n")
    }
}

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("bind.*", "bind.good", true), ("bind.*", "bound.good", false), ("*", "", true),
        ("", "", true), ("", "a", false), ("?", "a", true), ("?", "", false),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxbyy", false), ("*good", "bind.good", true), ("b?nd.g*d", "bind.good", true),
        ("**", "x", true), ("a**", "a", true), ("*a", "b", false), ("é*", "éa", true),
        ("[a]", "a", false), ("a*a", "a", false), ("*ab", "aab", true),
    ]) func globs(pattern: String, name: String, expected: Bool) {
        #expect(NamePattern(pattern).matches(name) == expected)
    }

    @Test func manyStarsTakeNoLongTime() {
        let pattern = NamePattern(String(repeating: "*a", count: 200) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 5000)))
    }

    @Test func casesAreChosenByNameOrFamily() {
        #expect(ValidationCase.matching([NamePattern("bind.good")]).map(\.id) == ["bind.good"])
        let family = ValidationCase.matching([NamePattern("udmabuf")])
        #expect(family.count == 7 && family.allSatisfy { $0.family == "udmabuf" })
        #expect(ValidationCase.matching([]).count == ValidationCase.all.count)
        #expect(ValidationCase.matching([NamePattern("nothing")]).isEmpty)
    }

    @Test func namesAreUniqueAndFit() {
        let all = ValidationCase.all
        #expect(all.count > 90)
        #expect(Set(all.map(\.id)).count == all.count)
        for one in all {
            #expect(one.id.wholeMatch(of: /[a-z0-9-]+\.[a-z0-9-]+/) != nil, "\(one.id)")
            #expect(KTAPWriter.oneLine(one.title) == one.title)
        }
        // Those of a family stand together, as each family is one test.
        var seen: [String] = []
        for one in all where seen.last != one.family {
            #expect(!seen.contains(one.family), "\(one.family)")
            seen.append(one.family)
        }
        #expect(all.last?.family == "afterwards")
    }
}

@Suite struct ValidationReportTests {
    private func report(_ verdicts: CaseVerdict...) -> ValidationReport {
        var report = ValidationReport(
            interface: "eth1", driver: nil, kernel: "7.3", farEnd: nil)
        report.cases = verdicts.map { result("f", "n", $0) }
        return report
    }

    @Test func exitStatusIsThatOfSelftests() {
        #expect(report(.pass).exitStatus == 0)
        #expect(report(.pass, .skip("")).exitStatus == 0)
        #expect(report(.pass, .fail("")).exitStatus == 1)
        #expect(report(.skip(""), .fail("")).exitStatus == 1)
        #expect(report(.skip(""), .skip("")).exitStatus == 4)
        #expect(report().exitStatus == 4)
        let mixed = report(.pass, .skip("a"), .fail("b"), .pass)
        #expect(mixed.passed == 2 && mixed.failed == 1 && mixed.skipped == 1)
    }

    @Test func whatADriverDoesNotSupportIsSkipped() {
        let refusal = DevmemError(.netlink, call: "bind-rx", errno: .notSupportedOnSocket)
        #expect(ValidationRun.judge(refusal).name == "skip")
        #expect(
            ValidationRun.judge(DevmemError(.system, call: "bind-rx", errno: .noData)).name
                == "fail")
        #expect(ValidationRun.judge(DevmemError(.unsupported, call: "prove")).name == "fail")
        let send = DevmemError(.system, call: "sendmsg", errno: .notSupportedOnSocket)
        #expect(ValidationRun.judge(send).name == "fail")
    }
}

@Suite struct ExpectationTests {
    private let expected = ExpectedRefusal(
        .invalidArgument, text: "is disabled", attribute: "queues")

    private func error(
        _ errno: DevmemError, _ message: String?, _ attribute: String?
    ) -> DevmemError {
        var error = errno
        error.message = message
        error.attribute = attribute
        return error
    }

    @Test func numberTextAndAttributeCount() {
        let invalid = DevmemError(.netlink, call: "bind", errno: .invalidArgument)
        let busy = DevmemError(.netlink, call: "bind", errno: .resourceBusy)
        let right = error(invalid, "tcp-data-split is disabled", "queues")
        #expect(expected.isMet(by: right))
        #expect(!expected.isMet(by: error(busy, "tcp-data-split is disabled", "queues")))
        #expect(!expected.isMet(by: error(invalid, "something else", "queues")))
        #expect(!expected.isMet(by: error(invalid, nil, "queues")))
        #expect(!expected.isMet(by: error(invalid, "is disabled", "fd")))
        #expect(!expected.isMet(by: DevmemError(.malformed, call: "bind")))
        let verdict = expected.verdict(on: "it") { () throws(DevmemError) in throw busy }
        #expect(
            verdict.message
                == "refused as \"bind: Device or resource busy\", which must be: Invalid argument, "
                + "\"is disabled\", attribute queues")
    }

    @Test func acceptingIsAFailure() {
        #expect(
            ExpectedRefusal(.invalidArgument).verdict(on: "the request") {}
                == .fail("the request was accepted, which must be refused: Invalid argument"))
    }

    @Test func firstProblemIsTheVerdict() {
        #expect(verdict(unless: nil, nil) == .pass)
        #expect(verdict(unless: nil, "b", "c") == .fail("b"))
        #expect(difference("x", 1, 1) == nil)
        #expect(difference("x", 1, 2) == "x: 1, which must be 2")
    }
}

@Suite struct SettingsDifferenceTests {
    private let before = NICSnapshot(
        rings: RingSettings(headerSplit: .off, splitThreshold: 256, sizes: ["rx": 1024]),
        channels: ChannelCounts(combined: 8), receiveQueues: [QueueInfo(id: 0, type: .rx)],
        contexts: [RSSContext(id: 0, indirection: [0, 1])],
        ntuple: FeatureState(isActive: true, isChangeable: true), ruleTable: nil)

    @Test func equalSettingsDoNotDiffer() {
        var after = before
        // Numbers that a restart of a queue changes.
        after.receiveQueues[0].napiID = 77
        #expect(after.differences(from: before).isEmpty)
    }

    @Test func everyDifferenceIsNamed() throws {
        var after = before
        after.rings.headerSplit = .on
        after.rings.splitThreshold = 0
        after.rings.sizes["rx"] = 512
        after.channels = ChannelCounts(combined: 7)
        after.xdpProgram = 4
        after.ntuple = FeatureState(isActive: false, isChangeable: true, isWanted: true)
        after.contexts = [
            RSSContext(id: 0, indirection: [0, 0]), RSSContext(id: 1, indirection: [1]),
        ]
        let rule = try FlowSpec.encode(
            FlowRule(isIPv6: false, destinationPort: 80, target: .queue(7)), location: 3)
        after.rules = [try #require(InstalledRule(specification: rule, context: 0))]
        after.receiveQueues[0].dmabufID = 9
        #expect(
            after.differences(from: before) == [
                "tcp-data-split was off and is on", "hds-thresh was 256 and is 0",
                "the rx ring was 1024 and is 512", "combined channels was 8 and is 7",
                "XDP program was none and is 4", "rx-ntuple-filter on was true and is false",
                "RSS context 0 is other than it was", "RSS context 1 is left",
                "flow rule 3 is left: flow-type tcp4 dst-port 80 action 7",
                "what holds queue 0 was none and is bound to dma-buf id 9",
            ])
        #expect(
            before.differences(from: after).contains(
                "flow rule 3 is gone: flow-type tcp4 dst-port 80 action 7"))
    }
}

import Foundation
import Logging
import SystemPackage
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct EchoServiceTests {
    /// A name may resolve to several addresses of which only some accept connections.
    @Test func theFirstAddressThatAnswersIsTaken() throws {
        let address = try #require(IPAddress(text: "127.0.0.1"))
        let idle = try Listener(binding: Endpoint(address: address, port: 0))
        let serving = try Listener(binding: Endpoint(address: address, port: 0))
        try serving.listen()
        let stop = SharedStopSignal(StopSignal())
        let both = [idle.endpoint, serving.endpoint]
        let found = try ValidationPeers.answering(both, stop)
        #expect(found == both[1])
        #expect(try ValidationPeers.answering([both[0]], stop) == nil)
        #expect(PeerChoice.echo(both).description == "\(both[0]) or \(both[1])")
    }
}

private func result(_ family: String, _ name: String, _ verdict: CaseVerdict) -> CaseResult {
    CaseResult(family: family, name: name, title: "", verdict: verdict, seconds: 0)
}

/// The complete output of a validation.
private func printed(_ results: [CaseResult]) -> String {
    var writer = TAPWriter(planned: results.count)
    return writer.heading + results.map { writer.lines(for: $0) }.joined() + writer.totals
}

/// Parses output as the test farms of the kernel do. The selftest runner prefixes each line with a
/// number sign. Results start after the line `TAP version` and end with the first line without the
/// prefix. They must match one regular expression. A comment that starts with "skip" turns a pass
/// into a skip.
private func farmResults(of output: String) -> [String: String] {
    let result = /(not )?ok (\d+)( -)? ([^#]*[^ ])( +# +)?([^ ].*)?$/
    var results: [String: String] = [:]
    var isInside = false
    for line in output.split(separator: "\n").map({ "# " + $0 }) {
        if line.hasPrefix("# TAP version ") {
            isInside = true
            continue
        }
        let text = line.dropFirst(2)
        guard isInside, text.hasPrefix("ok ") || text.hasPrefix("not ok "),
            let match = text.prefixMatch(of: result)
        else { continue }
        let isSkip = match.6?.lowercased().hasPrefix("skip") ?? false
        results[String(match.4)] = isSkip ? "skip" : text.hasPrefix("ok ") ? "pass" : "fail"
    }
    return results
}

@Suite struct TAPTests {
    private let results = [
        result("bind", "good", .pass), result("bind", "bad", .fail("it broke")),
        result("send", "all", .skip("no peer")),
    ]

    @Test func eachCaseIsALineOfItsOwn() {
        #expect(
            printed(results) == """
                TAP version 13
                1..3
                ok 1 bind.good
                # bind.bad: it broke
                not ok 2 bind.bad
                ok 3 send.all # SKIP no peer
                # Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0

                """)
    }

    @Test func farmsFindEveryCase() {
        #expect(
            farmResults(of: printed(results)) == [
                "bind.good": "pass", "bind.bad": "fail", "send.all": "skip",
            ])
        let all = ValidationCase.all.map { result($0.family, $0.name, .skip("a # b\nok 1 c")) }
        let found = farmResults(of: printed(all))
        #expect(Set(found.keys) == Set(ValidationCase.all.map(\.id)))
        #expect(found.values.allSatisfy { $0 == "skip" })
    }

    @Test(arguments: [
        ("a#b", "a\\#b"), ("two\nlines", "two\\nlines"), ("\\", "\\\\"), ("\r\tx\u{0}", "  x "),
        ("not ok 1\nok 2 # SKIP", "not ok 1\\nok 2 \\# SKIP"), ("\u{2028}é\u{85}", " é "),
        ("a\r\nb", "a \\nb"), ("\u{1b}[31m", " [31m"),
    ]) func messagesStayOnTheirLine(text: String, expected: String) {
        #expect(TAPWriter.oneLine(text) == expected)
        for verdict in [CaseVerdict.fail(text), .skip(text)] {
            let lines = printed([result("f", "n", verdict)]).split(separator: "\n")
            #expect(lines.count == (verdict.name == "fail" ? 5 : 4))
            #expect(farmResults(of: lines.joined(separator: "\n")) == ["f.n": verdict.name])
        }
    }

    @Test func namesHoldNoDirective() {
        #expect(TAPWriter.plain("a # SKIP\nb") == "a_\\__SKIP\\nb")
        var writer = TAPWriter(planned: 1)
        #expect(writer.lines(for: result("f", "x # TODO", .pass)) == "ok 1 f.x_\\__TODO\n")
    }

    @Test func resultsBeyondThePlanAreWrittenAllTheSame() {
        var writer = TAPWriter(planned: 0)
        #expect(writer.heading == "TAP version 13\n1..0\n")
        #expect(writer.lines(for: result("f", "x", .pass)) == "ok 1 f.x\n")
    }
}

@Suite struct KernelNeedTests {
    /// A kernel that lacks something is the reason to skip, and not the NIC.
    @Test func whatAKernelLacksIsTheReason() {
        let old = FamilyPolicy(commands: [10, 13], attributes: [13: [1, 2, 3]])
        #expect(ValidationFacts.reason(against: .receive, old) == nil)
        #expect(
            ValidationFacts.reason(against: .transmit, old)
                == "this kernel lacks bind-tx: needs Linux 6.16")
        #expect(
            ValidationFacts.reason(against: .pageSize, old)
                == "this kernel lacks rx-page-size: needs Linux 7.3")
        #expect(
            ValidationFacts.reason(against: .receive, nil)
                == "this kernel lacks bind-rx: needs Linux 6.12 and CONFIG_NET_DEVMEM")
    }

    @Test func headerSplitIsHeldWhereTheThresholdIsKnown() {
        let old = FamilyPolicy(commands: [16], attributes: [16: [11]])
        let new = FamilyPolicy(commands: [16], attributes: [16: [11, 17]])
        #expect(ValidationFacts.reasonAgainstHoldingSplit(old)?.contains("6.14") == true)
        #expect(ValidationFacts.reasonAgainstHoldingSplit(new) == nil)
        #expect(ValidationFacts.reasonAgainstHoldingSplit(nil) == nil)
        let cases = ValidationCase.all.filter { $0.needs.contains(.splitHeld) }.map(\.id)
        #expect(cases == ["bind.header-split-off", "bound.header-split-off"])
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
            #expect(TAPWriter.oneLine(one.title) == one.title)
        }
        // The cases of a family are adjacent, for readability.
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
            on: HostIdentity(name: "farm1", kernel: "7.3"), time: "2026-11-29T12:00:00.000Z",
            interface: "eth1", driver: nil, peer: nil)
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

    /// The reports of many hosts lie in one file.
    @Test func reportNamesItsHost() throws {
        let data = try JSONEncoder().encode(report(.pass))
        let object = try #require(
            try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["host"] as? String == "farm1" && object["kernel"] as? String == "7.3")
        #expect(object["time"] as? String == "2026-11-29T12:00:00.000Z")
        #expect(object["interface"] as? String == "eth1")
    }

    @Test func thisHostHasANameAKernelAndATime() throws {
        var system = utsname()
        try #require(uname(&system) == 0)
        let host = HostIdentity.current
        #expect(
            withUnsafeBytes(of: &system.nodename) { Array($0.prefix { $0 != 0 }) }
                == Array(host.name.utf8))
        #expect(
            withUnsafeBytes(of: &system.release) { Array($0.prefix { $0 != 0 }) }
                == Array(host.kernel.utf8))
        let time = timeStamp()
        #expect(
            time.wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z/)
                != nil, "\(time)")
    }

    @Test(arguments: [95, 524]) func whatADriverDoesNotSupportIsSkipped(number: Int32) {
        let errno = Errno(rawValue: number)
        let refusal = DevmemError(.netlink, call: "bind-rx", errno: errno)
        #expect(CaseVerdict(refusal).name == "skip")
        #expect(
            CaseVerdict(
                DevmemError(.system, .init(.addFlowRule, "add a flow rule to eth1"), errno: errno)
            ).name
                == "skip")
        #expect(CaseVerdict(DevmemError(.system, call: "bind-rx", errno: .noData)).name == "fail")
        #expect(CaseVerdict(DevmemError(.unsupported, call: "prove")).name == "fail")
        let send = DevmemError(.system, call: "sendmsg", errno: errno)
        #expect(CaseVerdict(send).name == "fail")
    }

    @Test func onlyCasesThatBindAreSkippedWithAnOldDriver() {
        let lack = "gve receives into device memory since Linux 6.18"
        let failure = CaseVerdict.fail("bind-rx: No data available")
        #expect(
            failure.excused(by: lack, needs: .receiving)
                == .skip("\(lack): bind-rx: No data available"))
        #expect(failure.excused(by: lack, needs: .sending) == failure)
        #expect(CaseVerdict.pass.excused(by: lack, needs: .receiving) == .pass)
    }
}

@Suite struct QueueCountTests {
    @Test func severalQueuesMustEachHaveReceived() {
        func verdict(_ before: [UInt32: UInt64]?, _ after: [UInt32: UInt64]?) -> String {
            ValidationCase.several([6, 7], before, after).name
        }
        #expect(verdict([6: 1, 7: 1], [6: 2, 7: 2]) == "pass")
        #expect(verdict([6: 1, 7: 1], [6: 2, 7: 1]) == "fail")
        // Missing counters prove nothing, also if they disappear.
        #expect(verdict(nil, nil) == "skip")
        #expect(verdict([6: 1, 7: 1], nil) == "skip")
        #expect(verdict([6: 1, 7: 1], [6: 2]) == "fail")
    }

    @Test func channelsLeaveAQueueOutWhateverTheNumbers() {
        func fewer(_ combined: UInt32, _ rx: UInt32, _ queue: UInt32) -> ChannelCounts? {
            ChannelCounts(rx: rx, combined: combined).leavingOut(queue)
        }
        #expect(fewer(8, 0, 7)?.combined == 7)
        #expect(fewer(0, 8, 7)?.rx == 7)
        #expect(fewer(4, 4, 7)?.rx == 3)
        #expect(fewer(8, 0, 8) == nil && fewer(8, 0, 0) == nil && fewer(4, 4, 4) == nil)
        #expect(fewer(.max, .max, .max) == nil)
        #expect(fewer(.max, 0, .max - 1)?.combined == UInt32.max - 1)
    }
}

@Suite struct PeerReachTests {
    private let refusals = [false: "no way by IPv4", true: "no way by IPv6"]

    private func problem(_ reached: Set<Bool>, given: Set<Bool> = []) -> String? {
        ValidationPeers.problem(
            reached: reached, refusals: refusals.filter { !reached.contains($0.key) }, given: given)
    }

    /// If all cases that need the peer were skipped, an unreachable peer would look like a pass.
    @Test func unreachablePeerIsAnError() {
        #expect(problem([]) == "no way by IPv4; no way by IPv6")
        #expect(problem([false]) == nil && problem([true]) == nil && problem([false, true]) == nil)
    }

    @Test func givenAddressFamilyMustBeReachable() {
        #expect(problem([false], given: [true]) == "no way by IPv6")
        #expect(problem([false, true], given: [false, true]) == nil)
        #expect(problem([true], given: [true]) == nil)
    }
}

@Suite(.serialized) struct ValidationOfNoNICTests {
    /// Needs neither root nor a NIC: the loopback interface supports none of the cases.
    @Test func everyCaseIsSkippedOnLoopback() throws {
        var finished = 0
        for peer in [nil, PeerChoice.place(.namespace("nowhere"))] {
            let report = try validate(
                ValidationRequest(interface: "lo", peer: peer, cases: ValidationCase.all),
                stop: StopSignal(), finished: { _ in finished += 1 },
                logger: Logger(label: "test"))
            #expect(report.exitStatus == 4)
            #expect(report.skipped == ValidationCase.all.count)
            #expect(report.cases.first?.verdict.message?.contains("the loopback interface") == true)
        }
        #expect(finished == 2 * ValidationCase.all.count)
    }
}

@Suite struct ExpectationTests {
    private let expected = ExpectedRefusal(
        .invalidArgument, refusal: .splitIsOff, attribute: "queues")

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
        #expect(!expected.isMet(by: error(invalid, "tcp-data-split is disabled", "fd")))
        #expect(!expected.isMet(by: DevmemError(.malformed, call: "bind")))
        let verdict = expected.verdict(on: "it") { () throws(DevmemError) in throw busy }
        #expect(
            verdict.message
                == "refused with \"bind: Device or resource busy\", expected: Invalid argument, "
                + "\"tcp-data-split is disabled\", attribute queues")
    }

    /// The request is unsupported as a whole, so the invalid part was not checked.
    @Test(arguments: [95, 524]) func aRefusalOfAllIsSkipped(number: Int32) {
        let all = DevmemError(.netlink, call: "bind-rx", errno: Errno(rawValue: number))
        #expect(
            expected.verdict(on: "it") { () throws(DevmemError) in throw all }.name == "skip")
        // The error may be the expected one.
        let refusal = ExpectedRefusal(Errno(rawValue: number))
        #expect(refusal.verdict(on: "it") { () throws(DevmemError) in throw all } == .pass)
    }

    @Test func acceptingIsAFailure() {
        #expect(
            ExpectedRefusal(.invalidArgument).verdict(on: "the request") {}
                == .fail("the request was accepted, expected: Invalid argument"))
    }

    @Test func firstProblemIsTheVerdict() {
        #expect(verdict(unless: nil, nil) == .pass)
        #expect(verdict(unless: nil, "b", "c") == .fail("b"))
        #expect(difference("x", 1, 1) == nil)
        #expect(difference("x", 1, 2) == "x: 1, expected 2")
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
        // A queue restart changes these ids.
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
                "RSS context 0 has changed", "RSS context 1 is left over",
                "flow rule 3 is left over: flow-type tcp4 dst-port 80 action 7",
                "what holds queue 0 was none and is bound to dma-buf id 9",
            ])
        #expect(
            before.differences(from: after).contains(
                "flow rule 3 is gone: flow-type tcp4 dst-port 80 action 7"))
    }
}

import Glibc
import Logging
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore

/// Sinks that are made of others.
@Suite struct SessionSinkTests {
    private final class Calls {
        var list: [String] = []
    }

    /// Notes what is called, and fails where a test wants it to.
    private struct NotingSink: SessionSink {
        let name: String
        let calls: Calls
        var needs = PayloadNeeds.extents
        var fails = false

        private func note(_ call: String) throws(DevmemError) {
            calls.list.append("\(name) \(call)")
            if fails { throw DevmemError(.system, call: "write", errno: .noSpace) }
        }

        mutating func begin() throws(DevmemError) { try note("begins") }

        mutating func receive(
            _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
        ) throws(DevmemError) -> Int32? {
            try note("receives")
            return nil
        }

        mutating func finish() throws(DevmemError) { try note("finishes") }
        mutating func store() throws(DevmemError) { try note("stores") }
        mutating func abandon() { calls.list.append("\(name) abandons") }
    }

    /// The output of one sink does not suffer from the failure of another.
    @Test(arguments: [false, true]) func everySinkIsCalled(firstFails: Bool) throws {
        let calls = Calls()
        var pair = SinkPair(
            OptionalSink(NotingSink(name: "a", calls: calls)), NotingSink(name: "b", calls: calls))
        try pair.begin()
        #expect(calls.list == ["a begins", "b begins"])
        calls.list = []
        pair.first = OptionalSink(NotingSink(name: "a", calls: calls, fails: firstFails))
        var errors = 0
        do throws(DevmemError) { try pair.finish() } catch { errors += 1 }
        do throws(DevmemError) { try pair.store() } catch { errors += 1 }
        pair.abandon()
        #expect(
            calls.list == [
                "a finishes", "b finishes", "a stores", "b stores", "a abandons", "b abandons",
            ])
        #expect(errors == (firstFails ? 2 : 0))
    }

    /// After a signal the report's failure is not shown, so the log must tell of what is lost.
    @Test func aSignalHidesNoFailureToStore() throws {
        let listener = try listenOnLoopback()
        let request = TransmitRequest(
            interface: nil, peers: [listener.endpoint], memory: 4096, chunk: 4096,
            usesHostMemory: true, isPinned: false, wait: 0)
        let gate = try StopBroadcast()
        gate.announce(SIGTERM)
        var sink = NotingSink(name: "a", calls: Calls(), fails: true)
        let log = LoggedLines()
        let report = try send(
            request, from: PatternSource(Pattern("4"), bytes: 4096), into: &sink,
            until: StopSignal(following: gate), observer: TransmitObserver(connected: { _, _ in }),
            logger: Logger(label: "test") { _ in RecordingLogHandler(log) })
        #expect(report.stoppedBy == SIGTERM)
        let failure = try #require(report.failure)
        #expect(log.lines == ["error: \(failure)"])
    }

    @Test(
        arguments: [
            (nil, true, "write", []), (nil, false, "write", ["error: write"]),
            ("reset", true, "reset", ["error: write"]),
        ] as [(String?, Bool, String, [String])])
    func aFailureToStoreIsShownOnce(
        before: String?, isShown: Bool, after: String, logged: [String]
    ) {
        var failure = before
        let log = LoggedLines()
        noteStoreFailure(
            "write", in: &failure, isShown: isShown,
            logger: Logger(label: "test") { _ in RecordingLogHandler(log) })
        #expect(failure == after && log.lines == logged)
    }

    @Test func withoutASinkNothingIsNeeded() throws {
        var none = OptionalSink<NotingSink>(nil)
        try none.begin()
        try none.store()
        #expect(none.needs == .nothing && none.findings == SinkFindings())
    }

    @Test func aPairNeedsWhatEitherNeeds() {
        let calls = Calls()
        let least = NotingSink(name: "a", calls: calls, needs: .nothing)
        let most = NotingSink(name: "b", calls: calls, needs: .bytes)
        #expect(SinkPair(least, most).needs == .bytes && SinkPair(most, least).needs == .bytes)
        #expect(PayloadNeeds.nothing < .extents && PayloadNeeds.extents < .bytes)
        #expect([PayloadNeeds.bytes, .nothing].allSatisfy { !($0 < $0) })
    }
}

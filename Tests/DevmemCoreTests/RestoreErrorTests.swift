import Logging
import Testing

@testable import DevmemCore

/// Settings that could not be restored are reported, however the session ended.
@Suite struct RestoreErrorTests {
    private let error = DevmemError(.netlink, call: "set header split", errno: .wouldBlock)

    /// Returns the failure in the report, and what was logged.
    private func note(_ failure: String?, isShown: Bool) -> (failure: String?, logged: [String]) {
        let log = LoggedLines()
        var failure = failure
        error.noteRestoreFailure(
            in: &failure, isShown: isShown,
            logger: Logger(label: "test") { _ in RecordingLogHandler(log) })
        return (failure, log.lines)
    }

    @Test func theReportTellsOfIt() {
        let outcome = note(nil, isShown: true)
        #expect(outcome.failure == error.description && outcome.logged.isEmpty)
    }

    /// After a signal the report's failure is not shown.
    @Test func aSignalDoesNotHideIt() {
        let outcome = note(nil, isShown: false)
        #expect(outcome.failure == error.description && outcome.logged == ["error: \(error)"])
    }

    @Test func anEarlierFailureDoesNotHideIt() {
        let outcome = note("reset", isShown: true)
        #expect(outcome.failure == "reset" && outcome.logged == ["error: \(error)"])
    }
}

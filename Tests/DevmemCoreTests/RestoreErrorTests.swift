import Logging
import Testing

@testable import DevmemCore

/// Settings that could not be restored are reported, however the session ended.
@Suite struct RestoreErrorTests {
    private let error = DevmemError(.netlink, call: "set header split", errno: .wouldBlock)

    /// Returns the failure in the report, and what was logged.
    private func told(_ failure: String?, isShown: Bool) -> (failure: String?, logged: [String]) {
        let log = LoggedLines()
        var failure = failure
        error.noteRestoreFailure(
            in: &failure, isShown: isShown,
            logger: Logger(label: "test") { _ in RecordingLogHandler(log) })
        return (failure, log.lines)
    }

    @Test func theReportTellsOfIt() {
        let told = told(nil, isShown: true)
        #expect(told.failure == error.description && told.logged.isEmpty)
    }

    /// After a signal the report's failure is not shown.
    @Test func aSignalDoesNotHideIt() {
        let told = told(nil, isShown: false)
        #expect(told.failure == error.description && told.logged == ["error: \(error)"])
    }

    @Test func anEarlierFailureDoesNotHideIt() {
        let told = told("reset", isShown: true)
        #expect(told.failure == "reset" && told.logged == ["error: \(error)"])
    }
}

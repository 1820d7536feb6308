import Logging
import Testing

@testable import DevmemCore

/// Settings that could not be put back are told of, whatever ended the session.
@Suite struct RestorationFailureTests {
    private let error = DevmemError(.netlink, call: "set header split", errno: .wouldBlock)

    /// What is in the report, and what was logged.
    private func told(_ failure: String?, isShown: Bool) -> (failure: String?, logged: [String]) {
        let log = LoggedLines()
        var failure = failure
        RestorationFailure(error: error).note(
            in: &failure, isShown: isShown,
            logger: Logger(label: "test") { _ in RecordingLogHandler(log) })
        return (failure, log.lines)
    }

    @Test func theReportTellsOfIt() {
        let told = told(nil, isShown: true)
        #expect(told.failure == error.description && told.logged.isEmpty)
    }

    /// After a signal nobody shows the report's failure.
    @Test func aSignalDoesNotHideIt() {
        let told = told(nil, isShown: false)
        #expect(told.failure == error.description && told.logged == ["error: \(error)"])
    }

    @Test func anEarlierFailureDoesNotHideIt() {
        let told = told("reset", isShown: true)
        #expect(told.failure == "reset" && told.logged == ["error: \(error)"])
    }
}

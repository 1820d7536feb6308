import Testing

@testable import DevmemCore

@Suite struct SteeringInterruptionsTests {
    private let table = SteeringChange.indirection(before: [0, 1], after: [0, 0], isDefault: true)
    private let threshold = SteeringChange.splitThreshold(before: 640, after: 0)

    private func count(_ driver: String?, _ changes: SteeringChange...) -> [Int?] {
        let found = SteeringInterruptions(of: changes, driver: driver)
        return [found.applying, found.restoring]
    }

    @Test func driversStopForDifferentChanges() {
        let split = SteeringChange.headerSplit(before: .on, after: .on)
        let wasOff = SteeringChange.headerSplit(before: .off, after: .on)
        #expect(count("bnxt_en", split, threshold, table) == [2, 2])
        #expect(count("bnxt_en", threshold) == [1, 1])
        #expect(count("bnxt_en", .feature(.flowRules, wasWanted: false)) == [1, 1])
        #expect(count("fbnic", split, threshold, table) == [1, 1])
        #expect(count("gve", wasOff, table, .feature(.flowRules, wasWanted: false)) == [2, 2])
        #expect(
            count("mlx5_core", .feature(.hardwareGRO, wasWanted: false), wasOff, table) == [1, 1])
        #expect(count("mlx5_core", wasOff, table) == [0, 0])
        #expect(count("another", wasOff) == [nil, nil])
        #expect(count(nil, wasOff) == [nil, nil])
        #expect(count(nil) == [0, 0])
    }

    @Test func theyAreReported() {
        func text(_ driver: String?, _ changes: SteeringChange...) -> String {
            SteeringInterruptions(of: changes, driver: driver).text(driver: driver)
        }
        #expect(
            text("bnxt_en", threshold, table)
                == "bnxt_en stops all traffic up to 2 times to apply, and up to 2 times to restore; "
                + "the link goes down each time")
        #expect(
            text("fbnic", threshold)
                == "fbnic stops all traffic up to once to apply, and up to once to restore")
        #expect(text("mlx5_core", table) == "no traffic is interrupted")
        #expect(text(nil, table).hasPrefix("the driver may stop all traffic for a moment"))
    }
}

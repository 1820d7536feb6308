import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BenchScheduleTests {
    @Test func flowsAreDealtToThreads() {
        let schedule = BenchSchedule(flows: 5, threads: 2)
        #expect(schedule.flowsOfThreads == [[0, 2, 4], [1, 3]])
    }

    @Test func noThreadIsWithoutFlows() {
        let schedule = BenchSchedule(flows: 2, threads: 8)
        #expect(schedule.flowsOfThreads == [[0], [1]])
    }

    @Test(arguments: [(1, 1), (10, 3), (7, 7), (2, 5), (1 << 40, 1024)] as [(UInt64, Int)])
    func sharesAddUp(bytes: UInt64, flows: Int) {
        let shares = (0..<flows).map { BenchSchedule.share(of: bytes, flow: $0, flows: flows) }
        #expect(shares.reduce(0, +) == bytes)
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1)
    }

    @Test func portsShareFlows() {
        #expect((0..<5).map { BenchSchedule.port(of: $0, ports: 2) } == [0, 1, 0, 1, 0])
    }
}

import Glibc
import Logging
import Synchronization
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// Whether the kernel reports queues, which a benchmark requires. Containers may hide them.
let tellsOfQueues: Bool = {
    guard let loopback = try? NetworkInterface(named: "lo") else { return false }
    return (try? queueStatistics(ofInterface: loopback.index)) != nil
        || (try? queues(ofInterface: loopback.index)) != nil
}()

/// The remote side of a test, in a thread.
private final class FarThread: Sendable {
    let failure = Mutex<DevmemError?>(nil)
    let number: Int32

    init(_ number: Int32) throws(DevmemError) {
        self.number = number
        try runInThread { [self] in
            let stop = SharedStopSignal(StopSignal())
            let channel = BenchChannel(
                input: number, output: number, to: "the near end", stop: stop)
            do throws(DevmemError) {
                try BenchRemoteSide(channel, stop, Logger(label: "remote side")).run(
                    interface: nil, nearAddress: nil, scope: 0, processors: nil)
            } catch {
                failure.withLock { $0 = error }
            }
        }
    }
}

/// Runs a benchmark with plain TCP over the loopback interface.
private func bench(
    _ change: (inout BenchPlan) -> Void, seen: (BenchSample) -> Void = { _ in }
) throws -> BenchReport {
    var plan = BenchPlan()
    change(&plan)
    try plan.check()
    let (ours, theirs) = try makeChannel()
    let near = Descriptor(owning: ours)
    let other = Descriptor(owning: theirs)
    let far = try FarThread(other.rawValue)
    let stop = SharedStopSignal(StopSignal())
    let channel = BenchChannel(
        input: near.rawValue, output: near.rawValue, to: "the peer", stop: stop)
    try channel.greet()
    let request = BenchRequest(
        remoteSide: .serving([]), interface: nil, plan: plan, queues: .automatic(1))
    let address = try #require(IPAddress(text: "127.0.0.1"))
    let report = try BenchLocalSide(
        request, NetworkInterface(named: "lo"), Endpoint(address: address, port: 0), channel, stop
    ).run("here", started: { _, _ in }, seen: seen, logger: Logger(label: "near end"))
    #expect(far.failure.withLock { $0 } == nil)
    withExtendedLifetime(near) {}
    withExtendedLifetime(other) {}
    return report
}

@Suite(.serialized, .enabled(if: tellsOfQueues), .timeLimit(.minutes(2)))
struct BenchLoopbackTests {
    private static let plain = BenchPlan.Direction(sender: .host, receiver: .host)

    @Test func flowsUseThePlannedPorts() throws {
        for _ in 1...2 {
            let report = try bench {
                $0.inbound = Self.plain
                $0.bytes = 1_000_003
                $0.flows = 3
                $0.validates = true
                $0.source = BenchPlan.Source(address: "127.0.0.1", port: 20_301)
            }
            #expect(report.failure == nil && report.inbound?.bytes == 1_000_003)
        }
    }

    @Test func bytesArriveBothWaysOverManyFlows() throws {
        let report = try bench {
            $0.inbound = Self.plain
            $0.outbound = Self.plain
            $0.bytes = 20_000_003
            $0.flows = 5
            $0.threads = 2
            $0.message = 100_000
            $0.validates = true
        }
        #expect(report.failure == nil)
        for direction in [report.inbound, report.outbound] {
            let direction = try #require(direction)
            #expect(direction.bytes == 20_000_003 && direction.wrongBytes == 0)
            #expect(direction.flows.map(\.bytes).max() == 4_000_001)
            #expect(direction.flows.map(\.flow) == [1, 2, 3, 4, 5])
        }
        #expect(report.near.sent.sentBytes == 20_000_003)
        let checked = report.far?.flows.compactMap { $0.validation?.checkedBytes }.reduce(0, +)
        #expect(checked == 20_000_003)
    }

    @Test func timeIsMeasuredAfterTheWarmUp() throws {
        let begun = ContinuousClock.now
        let seen = Mutex(0)
        let report = try bench(
            {
                $0.inbound = Self.plain
                $0.seconds = 1.2
                $0.warmUp = 0.3
                $0.pace = 10_000_000
                $0.validates = true
            }, seen: { _ in seen.withLock { $0 += 1 } })
        #expect(ContinuousClock.now - begun >= .seconds(1.5))
        #expect(report.failure == nil)
        let inbound = try #require(report.inbound)
        #expect((1.0...3.0).contains(inbound.seconds))
        #expect(inbound.bytes > 1_000_000)
        // Payload of the warm-up and after the end is compared but not counted.
        #expect((report.near.flows[0].validation?.checkedBytes ?? 0) > inbound.bytes)
        #expect(seen.withLock { $0 } == report.intervals.count && report.intervals.count >= 1)
    }

    @Test func responsesAreTimed() throws {
        let report = try bench {
            $0.inbound = Self.plain
            $0.outbound = Self.plain
            $0.seconds = 0.5
            $0.requestSize = 1000
            $0.flows = 2
            $0.validates = true
        }
        #expect(report.failure == nil)
        let latency = try #require(report.latency)
        #expect(latency.count > 10 && latency.minimum > 0 && latency.p50 <= latency.p99)
        #expect(report.inbound?.wrongBytes == 0)
    }

    @Test func remoteSideRefusesWhatItCannotDo() throws {
        let error = #expect(throws: DevmemError.self) {
            _ = try bench {
                $0.inbound = Self.plain
                $0.seconds = 1
                $0.congestion = "nosuch"
            }
        }
        #expect(error?.description.contains("set congestion control nosuch") == true)
    }
}

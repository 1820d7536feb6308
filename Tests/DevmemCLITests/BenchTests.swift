import ArgumentParser
import DevmemCore
import DevmemTools
import Foundation
import Testing

@testable import devmemtcp

/// Returns the plan of a command line.
private func plan(_ arguments: String...) throws -> BenchPlan {
    try #require(try Devmemtcp.parseAsRoot(["bench", "run", "host"] + arguments) as? BenchRun).load
        .plan
}

@Suite struct BenchArgumentTests {
    @Test func withoutOptionsPayloadComesToDeviceMemory() throws {
        let plan = try plan()
        #expect(plan.inbound == BenchPlan.Direction(sender: .host, receiver: .device))
        #expect(plan.outbound == nil)
        #expect(plan.seconds == 10 && plan.bytes == nil)
    }

    @Test func eachWayIsAsItIsSaid() throws {
        let sending = try plan("--tx", "device", "--peer-rx", "device")
        #expect(sending.inbound == nil)
        #expect(sending.outbound == BenchPlan.Direction(sender: .device, receiver: .device))
        let duplex = try plan("--duplex")
        #expect(duplex.inbound == BenchPlan.Direction(sender: .host, receiver: .device))
        #expect(duplex.outbound == BenchPlan.Direction(sender: .host, receiver: .host))
        let sent = try plan("--duplex", "--tx", "device", "--peer-tx", "device")
        #expect(sent.inbound == BenchPlan.Direction(sender: .device, receiver: .host))
        #expect(sent.outbound == BenchPlan.Direction(sender: .device, receiver: .host))
        let both = try plan("--rx", "device", "--tx", "device")
        #expect(both.inbound?.receiver == .device && both.outbound?.sender == .device)
        let plain = try plan("--rx", "host")
        #expect(plain.inbound?.receiver == .host && plain.outbound == nil)
        // Requests and responses imply both directions.
        #expect(try plan("--request-response", "1K").outbound?.sender == .host)
    }

    @Test func otherOptionsReachThePlan() throws {
        let plan = try plan(
            "--bytes", "1G", "--flows", "8", "--threads", "3", "--message", "64K", "--mss", "1400",
            "--congestion", "reno", "--pace", "8M", "--validate", "--peer-cpus", "1,3")
        #expect(plan.bytes == 1 << 30 && plan.seconds == nil)
        #expect(plan.flows == 8 && plan.threads == 3 && plan.message == 65536)
        #expect(plan.segment == 1400 && plan.congestion == "reno" && plan.pace == 1_000_000)
        #expect(plan.validates && plan.remoteProcessors == [1, 3])
    }

    @Test(arguments: [
        ["--time", "1", "--bytes", "1M"], ["--flows", "0"], ["--threads", "0"], ["--time", "0"],
        ["--rx", "none", "--tx", "none"], ["--peer-rx", "none"], ["--mss", "1"],
        ["--request-response", "0"], ["--pace", "fast"], ["--cpus", "last 2"],
        ["--warm-up", "-1"], ["--bytes", "1M", "--warm-up", "1"], ["--remote", "netns:x"],
        ["--congestion", "a/b"], ["--request-response", "1K", "--bytes", "1M"],
    ])
    func contradictionsAreWrongUsage(arguments: [String]) {
        #expect(throws: (any Error).self) {
            try Devmemtcp.parseAsRoot(["bench", "run", "host"] + arguments)
        }
    }

    @Test func portIsTaken() throws {
        let run = try #require(
            try Devmemtcp.parseAsRoot(["bench", "run", "host", "--port", "5301"]) as? BenchRun)
        #expect(run.port == 5301)
        for port in ["0", "65536", "-1", "http"] {
            #expect(throws: (any Error).self) {
                try Devmemtcp.parseAsRoot(["bench", "run", "host", "--port", port])
            }
        }
    }

    @Test func thePeerIsNeeded() {
        for arguments in [[], ["--remote", "netns:peer"], ["--interface", "eth1"]] {
            #expect(throws: (any Error).self) {
                try Devmemtcp.parseAsRoot(["bench", "run"] + arguments)
            }
        }
    }

    @Test func ratesAreBits() {
        #expect(BitRate(argument: "8")?.bytes == 1)
        #expect(BitRate(argument: "10G")?.bytes == 1_250_000_000)
        #expect(BitRate(argument: "1k")?.bytes == 125)
        for text in ["", "7", "G", "-1", "1.5G", "99999999999T"] {
            #expect(BitRate(argument: text) == nil, "\(text)")
        }
    }
}

@Suite struct BenchDescriptorTests {
    /// The limit is checked before anything is set up.
    @Test func moreFlowsThanDescriptorsAreRefused() throws {
        let result = try CommandProcess.run(
            ["bench", "run", "192.0.2.1", "--flows", "200"], descriptors: 100)
        #expect(result.status == 1)
        #expect(
            result.messages.hasPrefix(
                "devmemtcp: measure 200 flows at once: Too many open files, this may need 245 "),
            "\(result.messages)")
    }
}

@Suite struct BenchSummaryTests {
    @Test func summaryHoldsTheFigures() throws {
        let text = summary(of: try BenchReport.full)
        #expect(text.contains("eth1, queues 6-7, driver labnic"))
        #expect(text.contains("host to device, 1073741824 bytes in 2.000 s, 4.295 Gbit/s"))
        #expect(text.contains("0.500 and 0.000 s/GiB") == false)
        #expect(text.contains("0.250 and 0.000 s/GiB"))
        #expect(text.contains("2.5 fragments per call"))
        #expect(text.contains("p50 2.0, p90 3.0, p99 4.0, p99.9 5.0, max 6.0 us"))
        #expect(text.contains("4 bytes wrong"))
        #expect(text.contains("flow  direction"))
    }

    @Test func liveLineHoldsTheRates() {
        let sample = BenchSample(
            time: 3, seconds: 0.5, received: [62_500_000, 62_500_000], sent: [0, 0], user: 0.1,
            system: 0.15, softirq: 0)
        #expect(
            liveLine(of: sample, left: nil)
                == "3.0 s  in 2.000  out 0.000 Gbit/s  CPU 50 %")
        #expect(
            liveLine(of: sample, left: 6.2)
                == "3.0 s  in 2.000  out 0.000 Gbit/s  CPU 50 %  7 s left")
    }

    @Test func summaryNamesMemoryOfBothSides() throws {
        let text = summary(of: try BenchReport.full)
        // The local side received into device memory what the remote side sent from host memory.
        #expect(text.contains("4096 bytes from host memory of the peer"))
        #expect(text.contains("1073741824 bytes in device memory of this host, 0 elsewhere"))
        // It sent from device memory, although the remote side received into host memory.
        #expect(text.contains("4096 bytes from device memory of this host"))
        #expect(text.contains("1073741824 bytes in host memory of the peer"))
        #expect(!text.contains("0 bytes, 1073741824 elsewhere"))
    }
}

@Suite struct BenchRemainderTests {
    private func sample(_ time: Double, _ received: UInt64, _ sent: UInt64) -> BenchSample {
        BenchSample(
            time: time, seconds: 1, received: [received], sent: [sent], user: 0, system: 0,
            softirq: 0)
    }

    @Test func timeIsLeftOfATime() {
        var plan = BenchPlan()
        plan.inbound = BenchPlan.Direction(sender: .host, receiver: .host)
        plan.seconds = 10
        var remainder = TimeLeftEstimator(plan)
        #expect(remainder.left(after: sample(4, 5, 0)) == 6)
        #expect(remainder.left(after: sample(11, 5, 0)) == 0)
    }

    @Test func timeIsLeftOfBytesAtTheRateSoFar() {
        var plan = BenchPlan()
        plan.inbound = BenchPlan.Direction(sender: .host, receiver: .host)
        plan.outbound = plan.inbound
        plan.bytes = 1000
        var remainder = TimeLeftEstimator(plan)
        #expect(remainder.left(after: sample(1, 100, 0)) == nil)
        // The slower direction decides: 50 bytes in two seconds.
        #expect(remainder.left(after: sample(2, 100, 50)) == 38)
        #expect(remainder.left(after: sample(3, .max, .max)) == 0)
    }
}

import Glibc
import Testing

@testable import DevmemCore

/// A pipe.
private struct Pipe: ~Copyable {
    let input: Descriptor
    let output: Descriptor

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        input = Descriptor(owning: ends[0])
        output = Descriptor(owning: ends[1])
    }

    func write() { _ = Glibc.write(output.rawValue, "x", 1) }

    func read() {
        var byte: UInt8 = 0
        _ = Glibc.read(input.rawValue, &byte, 1)
    }
}

private let second: UInt64 = 1_000_000_000

@Suite struct BusyPollerTests {
    @Test(arguments: [nil, 50] as [UInt32?])
    func reportsWhatPollDoes(microseconds: UInt32?) throws {
        let first = try Pipe()
        let other = try Pipe()
        var poller = try BusyPoller(
            microseconds: microseconds, keeping: [nil, first.input.rawValue])
        var set = PollSet<4>()
        set.watch(0, nil)
        set.watch(1, first.input.rawValue)
        set.watch(3, other.input.rawValue)
        for _ in 0..<3 {
            for limit in [0, 1000] as [UInt64] {
                #expect(try poller.wait(&set, nanoseconds: limit) == 0)
                #expect(set.ready(1).isEmpty && set.ready(3).isEmpty)
            }
            first.write()
            #expect(try poller.wait(&set, nanoseconds: nil) == 1)
            #expect(set.ready(1) == .input && set.ready(3).isEmpty)
            other.write()
            #expect(try poller.wait(&set, nanoseconds: second) == 2)
            #expect(set.ready(1) == .input && set.ready(3) == .input)
            first.read()
            #expect(try poller.wait(&set, nanoseconds: second) == 1)
            #expect(set.ready(1).isEmpty && set.ready(3) == .input)
            other.read()
        }
    }

    /// A full pipe, and one without a reader.
    @Test func eventsOfAKeptDescriptorChange() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let output = Descriptor(owning: ends[1])
        var poller = try BusyPoller(microseconds: 1, keeping: [output.rawValue])
        var set = PollSet<1>()
        set.watch(0, output.rawValue, for: [])
        #expect(try poller.wait(&set, nanoseconds: 1000) == 0)
        set.watch(0, output.rawValue, for: .output)
        #expect(try poller.wait(&set, nanoseconds: second) == 1)
        #expect(set.ready(0) == .output)
        // Once it is left out, not even its errors end the wait.
        set.watch(0, nil)
        close(ends[0])
        #expect(try poller.wait(&set, nanoseconds: 1000) == 0)
        set.watch(0, output.rawValue, for: [])
        #expect(try poller.wait(&set, nanoseconds: second) == 1)
        #expect(set.ready(0) == .failure)
    }

    /// The number of a closed descriptor is given to the next one that is opened.
    @Test func numberThatMeansAnotherFileIsWatched() throws {
        let kept = try Pipe()
        var poller = try BusyPoller(microseconds: 1, keeping: [kept.input.rawValue])
        var set = PollSet<2>()
        set.watch(0, kept.input.rawValue)
        let changing = dup(kept.output.rawValue)
        for _ in 0..<3 {
            let other = try Pipe()
            #expect(dup2(other.input.rawValue, changing) == changing)
            set.watch(1, changing)
            #expect(try poller.wait(&set, nanoseconds: 1000) == 0)
            other.write()
            #expect(try poller.wait(&set, nanoseconds: second) == 1)
            #expect(set.ready(1) == .input)
        }
        close(changing)
    }

    @Test func filesAndDescriptorsOfTwoPlacesAreReady() throws {
        let file = try Descriptor.open("/proc/self/exe", O_RDONLY)
        let one = try Pipe()
        var poller = try BusyPoller(microseconds: 1)
        var set = PollSet<3>()
        set.watch(0, one.input.rawValue)
        set.watch(2, file.rawValue)
        #expect(try poller.wait(&set, nanoseconds: nil) == 1)
        #expect(set.ready(2) == .input)
        set.watch(2, one.input.rawValue)
        one.write()
        #expect(try poller.wait(&set, nanoseconds: nil) == 2)
        #expect(set.ready(0) == .input && set.ready(2) == .input)
    }

    @Test func timeThatTheKernelRefusesIsAnError() throws {
        #expect(throws: Never.self) { try BusyPoller.check(microseconds: nil) }
        let error = #expect(throws: DevmemError.self) {
            try BusyPoller.check(microseconds: .max)
        }
        #expect(error?.errno == .invalidArgument)
        #expect(error?.description.contains("poll the NIC busily") == true)
    }
}

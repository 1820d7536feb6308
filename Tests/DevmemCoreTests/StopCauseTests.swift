import CDevmem
import Glibc
import TestSupport
import Testing

@testable import DevmemCore

/// Causes other than signals, checked while a session waits.
@Suite struct StopCauseTests {
    /// A cause whose events are bytes in a pipe.
    private final class Pipe: StopCause {
        let reader: Descriptor
        let writer: Descriptor
        var looks = 0
        var endsAt = Int.max

        init() {
            var ends: [Int32] = [-1, -1]
            _ = pipe(&ends)
            reader = Descriptor(owning: ends[0])
            writer = Descriptor(owning: ends[1])
        }

        var rawValue: Int32 { reader.rawValue }

        func ring() { _ = write(writer.rawValue, "x", 1) }

        func look() -> Bool {
            var byte: UInt8 = 0
            _ = read(reader.rawValue, &byte, 1)
            looks += 1
            return looks >= endsAt
        }
    }

    /// An event that ends nothing does not count as readiness and does not prolong a wait.
    @Test func newsIsLookedAtWhileWaiting() throws {
        let cause = Pipe()
        let stop = try StopSignal(following: StopSignal(), or: cause)
        for _ in 0..<3 { cause.ring() }
        let begin = ContinuousClock.now
        #expect(try stop.wait(for: -1, events: 0, milliseconds: 200) == .timeout)
        let waited = ContinuousClock.now - begin
        #expect(waited >= .milliseconds(190) && waited < .seconds(20))
        #expect(cause.looks == 3)
    }

    @Test func whatIsReadyIsReadyAllTheSame() throws {
        let cause = Pipe()
        let ready = Pipe()
        let stop = try StopSignal(following: StopSignal(), or: cause)
        ready.ring()
        cause.ring()
        #expect(
            try stop.wait(for: ready.rawValue, events: Int32(POLLIN), milliseconds: 9000) == .ready)
        #expect(cause.looks == 1)
    }

    @Test func theCauseEndsIt() throws {
        let cause = Pipe()
        cause.endsAt = 2
        let stop = try StopSignal(following: StopSignal(), or: cause)
        #expect(stop.pending() == nil && cause.looks == 0)
        cause.ring()
        #expect(stop.pending() == nil && cause.looks == 1)
        cause.ring()
        #expect(try stop.wait(for: -1, events: 0) == .stopped(by: SIGTERM))
    }

    @Test func signalsStopItToo() throws {
        let broadcast = try StopBroadcast()
        let cause = Pipe()
        let signals = StopSignal(following: broadcast)
        let stop = try StopSignal(following: signals, or: cause)
        broadcast.announce(SIGINT)
        #expect(try stop.wait(for: -1, events: 0, milliseconds: 9000) == .stopped(by: SIGINT))
    }

    /// Checks do not keep an idle connection alive.
    @Test func aSenderGivesAnIdleConnectionUp() throws {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        let cause = Ticking()
        var sender = PayloadSender(capacity: 4096, chunk: 4096)
        var source: PayloadSource?
        var receiver = HostReceiver()
        var consumer = PayloadConsumer(output: nil, pattern: nil)
        consumer.echo = EchoQueue()
        let memory = try SendMemory(host: 4096)
        let stop = try StopSignal(following: StopSignal(), or: cause)
        var error: DevmemError?
        do throws(DevmemError) {
            _ = try sender.run(
                near, memory: memory, source: &source, receiver: &receiver, consumer: &consumer,
                wait: -1, idleLimit: 300, stop: stop, progress: { _ in })
        } catch let thrown {
            error = thrown
        }
        #expect(error?.errno == .timedOut)
        #expect(cause.looks > 1 && cause.looks < Ticking.most)
    }

    /// A cause with an event every 20 milliseconds, which ends the session at last.
    private final class Ticking: StopCause {
        static let most = 500
        let timer: Descriptor
        var looks = 0

        init() {
            timer = Descriptor(owning: timerfd_create(CLOCK_MONOTONIC, 0))
            var times = itimerspec()
            times.it_interval.tv_nsec = 20_000_000
            times.it_value.tv_nsec = 20_000_000
            timerfd_settime(timer.rawValue, 0, &times, nil)
        }

        var rawValue: Int32 { timer.rawValue }

        func look() -> Bool {
            var count: UInt64 = 0
            _ = read(timer.rawValue, &count, MemoryLayout<UInt64>.size)
            looks += 1
            return looks >= Self.most
        }
    }
}

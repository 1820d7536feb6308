import CDevmem
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import DevmemCore

/// Sinks and sources of a program's own, and the loops that call them.
@Suite(.timeLimit(.minutes(1))) struct EngineTests {
    /// Two ends of a connection over loopback.
    private struct Ends: ~Copyable {
        let near: Connection
        let far: Connection

        init() throws {
            let listener = try listenOnLoopback()
            let near = try connected(to: listener.endpoint)
            guard let far = try listener.accept() else {
                throw DevmemError(.invalid, call: "accept")
            }
            self.near = near
            self.far = far
        }
    }

    /// Sends what a source has in a thread of its own, and closes.
    private func send<Source: PayloadSource & ~Copyable & Sendable>(
        _ source: consuming Source, filling memory: [UInt8], over connection: borrowing Connection
    ) throws {
        let made = try SendMemory(host: UInt64(memory.count))
        try made.withWritableBytes { bytes throws(DevmemError) in bytes.copyBytes(from: memory) }
        var exchange = try Exchange(
            sending: source, from: made, receiving: PayloadReceiver(nil), chunk: 4096)
        var sink = DiscardingSink()
        #expect(
            try exchange.run(
                connection, into: &sink, until: StopSignal(), limits: StreamLimits(closing: 0))
                != .stopped(by: SIGTERM))
    }

    @Test func aClosureReceivesOnASocketThatTheProgramMade() throws {
        let ends = try Ends()
        let own = try Connection(adopting: dup(ends.far.rawValue))
        #expect(own.peer == ends.near.local)
        try send(
            RangeSource([MemoryRange(offset: 0, count: 5)]), filling: [1, 2, 3, 4, 5],
            over: ends.near)
        var received: [UInt8] = []
        var calls = 0
        var sink = PayloadHandler(needing: .bytes) { payload in
            calls += 1
            for extent in payload.extents { received += Array(payload.bytes(of: extent)) }
        }
        var receiver = PayloadReceiver(nil)
        let end = try receiver.run(own, into: &sink, until: StopSignal())
        #expect(end == .peerClosed && received == [1, 2, 3, 4, 5] && calls > 0)
        #expect(receiver.counts.ordinaryBytes == 5 && receiver.counts.receiveCalls == UInt64(calls))
        _ = ends.far.rawValue
    }

    @Test func whatIsNoConnectionIsNotAdopted() throws {
        #expect(throws: DevmemError.self) { _ = try Connection(adopting: -1) }
        #expect(throws: DevmemError.self) { _ = try Connection(adopting: STDIN_FILENO) }
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, cdm_SOCK_STREAM, 0, &ends) == 0)
        #expect(throws: DevmemError.self) { _ = try Connection(adopting: ends[0]) }
        // It stays the program's.
        #expect(close(ends[0]) == 0 && close(ends[1]) == 0)
    }

    @Test func rangesGoOutInOrderAndAroundTheEnd() throws {
        let ends = try Ends()
        let ranges = [(6, 2), (0, 3), (6, 4)].map { MemoryRange(offset: $0.0, count: $0.1) }
        try send(RangeSource(ranges), filling: Array(0..<8), over: ends.near)
        var received: [UInt8] = []
        var sink = PayloadHandler(needing: .bytes) { payload in
            for extent in payload.extents { received += Array(payload.bytes(of: extent)) }
        }
        var receiver = PayloadReceiver(nil)
        _ = try receiver.run(ends.far, into: &sink, until: StopSignal())
        #expect(received == [6, 7, 0, 1, 2, 6, 7, 0, 1])
    }

    @Test(arguments: [(-1, 1), (8, 1), (0, 0), (0, 9), (0, -1), (Int.max, 1), (0, Int.max)])
    func aRangeOutsideTheMemoryIsRefused(offset: Int, count: Int) throws {
        let ends = try Ends()
        let error = #expect(throws: DevmemError.self) {
            try send(
                RangeSource([MemoryRange(offset: offset, count: count)]),
                filling: Array(0..<8), over: ends.near)
        }
        #expect(error?.kind == .invalid)
        _ = ends.far.rawValue
    }

    @Test func anEchoSendsBackWhatComesAndItsSinkSeesItToo() throws {
        let ends = try Ends()
        let handover = Mutex<Connection?>(ends.far)
        let echoed = Mutex<PatternComparison?>(nil)
        let done = try makeEventDescriptor()
        let state = Shared(handover, echoed, done)
        try runInThread { state.echo() }
        let pattern = try Pattern("7")
        var exchange = try Exchange(
            sending: PatternSource(pattern, bytes: 3_000_000), from: SendMemory(host: 1 << 16),
            receiving: PayloadReceiver(nil), chunk: 1 << 14)
        var sink = SinkPair(PatternSink(pattern), OptionalSink<OutputStream>(nil))
        let end = try exchange.run(
            ends.near, into: &sink, until: StopSignal(), limits: StreamLimits(idle: 20_000))
        #expect(end == .finished && exchange.counts.receivedBytes == 3_000_000)
        let expected = PatternComparison(checkedBytes: 3_000_000, wrongBytes: 0)
        #expect(sink.findings.validation == expected)
        #expect(try poll(state.done.rawValue, for: .input, milliseconds: 20_000))
        #expect(state.echoed.withLock { $0 } == expected)
    }

    private final class Shared: Sendable {
        let connection: Mutex<Connection?>
        let echoed: Mutex<PatternComparison?>
        let done: Descriptor

        init(
            _ connection: consuming Mutex<Connection?>,
            _ echoed: consuming Mutex<PatternComparison?>, _ done: consuming Descriptor
        ) {
            self.connection = connection
            self.echoed = echoed
            self.done = done
        }

        func echo() {
            let taken = connection.withLock { connection in
                let taken = connection
                connection = nil
                return taken
            }
            guard let taken, let pattern = try? Pattern("7") else { return }
            let queue = EchoQueue()
            var sink = SinkPair(EchoSink(queue), PatternSink(pattern))
            do throws(DevmemError) {
                var exchange = try Exchange(
                    sending: EchoSource(queue), from: SendMemory(host: 1 << 16),
                    receiving: PayloadReceiver(nil), chunk: 1 << 14)
                _ = try exchange.run(taken, into: &sink, until: StopSignal())
            } catch {
                Issue.record(error)
            }
            echoed.withLock { $0 = sink.second.comparison }
            notify(done)
        }
    }

    /// The payload of one receive call may be in several places.
    @Test func anEchoKeepsTheOrder() {
        let queue = EchoQueue()
        var room = [UInt8](repeating: 0, count: 3)
        func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { queue.append($0) } }
        func take() -> [UInt8] {
            let count = room.withUnsafeMutableBytes { queue.move(to: $0) }
            return Array(room[..<count])
        }
        add([1, 2])
        add([3, 4, 5])
        #expect(take() == [1, 2, 3] && !queue.isEmpty)
        add([6])
        #expect(take() == [4, 5, 6] && queue.isEmpty)
        add([7])
        #expect(take() == [7] && take() == [])
    }

    @Test func anIdleEchoIsGivenUp() throws {
        let ends = try Ends()
        let queue = EchoQueue()
        var sink = EchoSink(queue)
        var exchange = try Exchange(
            sending: EchoSource(queue), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        let error = #expect(throws: DevmemError.self) {
            _ = try exchange.run(
                ends.near, into: &sink, until: StopSignal(), limits: StreamLimits(idle: 100))
        }
        #expect(error?.errno == .timedOut)
        _ = ends.far.rawValue
    }

    /// The shorter limit for completions is none for payload.
    @Test(arguments: [-1, 0, 100, 3_600_000])
    func anOpenExchangeWaitsAsLongAsItMay(idle: Int32) throws {
        let exchange = try Exchange(
            sending: RangeSource([]), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        #expect(exchange.timeout(StreamLimits(idle: idle, closing: 1)) == idle)
    }

    @Test func memoryThatIsSentFromIsFreedForItsSource() throws {
        let ends = try Ends()
        var exchange = try Exchange(
            sending: RangeSource([MemoryRange(offset: 1, count: 5)]), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        var sink = DiscardingSink()
        let end = try exchange.run(
            ends.near, into: &sink, until: StopSignal(), limits: StreamLimits(closing: 0))
        #expect(end == .peerStillOpen && exchange.source.freedBytes == 5)
        #expect(exchange.counts.sendCalls == 1 && exchange.counts.sentBytes == 5)
        _ = ends.far.rawValue
    }

    /// Answers as no source may.
    private struct WrongSource: PayloadSource {
        let answer: PayloadInput

        mutating func fill(
            _ memory: UnsafeMutableRawBufferPointer, at place: RingPosition
        ) throws(DevmemError) -> PayloadInput { answer }
    }

    @Test(arguments: [
        PayloadInput.bytes(4097), .bytes(-1), .range(MemoryRange(offset: 0, count: 1)),
    ])
    func aSourceThatAnswersOtherwiseThanAskedIsAnError(answer: PayloadInput) throws {
        let ends = try Ends()
        var exchange = try Exchange(
            sending: WrongSource(answer: answer), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        var sink = DiscardingSink()
        let error = #expect(throws: DevmemError.self) {
            _ = try exchange.run(ends.near, into: &sink, until: StopSignal())
        }
        #expect(error?.kind == .invalid && error?.message?.contains("the source") == true)
        _ = ends.far.rawValue
    }

    @Test func aSendHasNoMoreThanAChunk() throws {
        let ends = try Ends()
        var exchange = try Exchange(
            sending: PatternSource(Pattern("7"), bytes: 8 << 12), from: SendMemory(host: 1 << 16),
            receiving: PayloadReceiver(nil), chunk: 1 << 12)
        var sink = DiscardingSink()
        let end = try exchange.run(
            ends.near, into: &sink, until: StopSignal(), limits: StreamLimits(closing: 0))
        #expect(end == .peerStillOpen && exchange.counts.sentBytes == 8 << 12)
        #expect(exchange.counts.sendCalls >= 8)
        _ = ends.far.rawValue
    }

    @Test func aSourceIsNotCoalescedUnlessItAsksForIt() {
        #expect(WrongSource(answer: .end).coalescingTarget == 0)
    }

    /// Threads and connections come and go, each with buffers of its own.
    @Test func receiveBuffersAreFreed() async {
        await #expect(processExitsWith: .exitCode(7)) {
            // More than the buffers of a few, and less than those of all.
            var limit = rlimit(rlim_cur: 0, rlim_max: rlim_t.max)
            let pages = lines(of: "/proc/self/statm").first?.split(separator: " ").first
            guard let used = pages.flatMap({ rlim_t($0) }) else { exit(1) }
            limit.rlim_cur = used * 4096 + (256 << 20)
            setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
            for _ in 0..<20_000 { _ = ReceiveBuffers().data }
            exit(7)
        }
    }

    /// Keeps payload for as long as its call lasts, and counts the ends of the stream.
    private struct BriefSink: PayloadSink {
        let needs = PayloadNeeds.extents
        weak var kept: KeptPayload?
        var finishes = 0
        var failure: DevmemError?

        mutating func receive(
            _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
        ) throws(DevmemError) -> Int32? {
            kept = try payload.keep()
            if let failure { throw failure }
            return nil
        }

        mutating func finish() throws(DevmemError) { finishes += 1 }
    }

    @Test func droppedPayloadIsNotKeptByTheReceiver() throws {
        let ends = try Ends()
        var sink = BriefSink()
        var receiver = PayloadReceiver(nil)
        #expect(write(ends.far.rawValue, "x", 1) == 1)
        _ = try StopSignal().wait(
            for: ends.near.rawValue, events: Int32(POLLIN), milliseconds: 10_000)
        #expect(try receiver.step(ends.near, into: &sink, until: StopSignal()) == .bytes(1))
        #expect(sink.kept == nil && sink.finishes == 0)
    }

    /// Buffered output is completed also if the connection or the sink fails.
    @Test func everyRunFinishesItsSink() throws {
        let ends = try Ends()
        var sink = BriefSink()
        var receiver = PayloadReceiver(nil)
        let idle = #expect(throws: DevmemError.self) {
            _ = try receiver.run(
                ends.near, into: &sink, until: StopSignal(), limits: StreamLimits(idle: 10))
        }
        #expect(idle?.errno == .timedOut && sink.finishes == 1)
        var exchange = try Exchange(
            sending: PatternSource(Pattern("7"), bytes: 100), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        sink.failure = DevmemError(.system, call: "write", errno: .noSpace)
        #expect(write(ends.far.rawValue, "x", 1) == 1)
        let full = #expect(throws: DevmemError.self) {
            _ = try exchange.run(
                ends.near, into: &sink, until: StopSignal(), limits: StreamLimits(idle: 10_000))
        }
        #expect(full == sink.failure && sink.finishes == 2)
    }

    @Test func keptMemoryGoesBackOnceForAllSinksOfACall() throws {
        let ends = try Ends()
        let buffers = ReceiveBuffers()
        var payload = ReceivedPayload(capacity: 4, host: UnsafeRawBufferPointer(buffers.data))
        payload.removeAll(socket: ends.near.rawValue)
        payload.list.append(.device, offset: 4096, length: 100)
        payload.list.append(.host, offset: 0, length: 10)
        let first = try payload.keep()
        let second = try payload.keep()
        #expect(first === second && first.extents.map(\.offset) == [4096])
        try first.release()
        payload.removeAll(socket: ends.near.rawValue)
        payload.tokens = [TokenBatch.Range(start: 7, count: 2000)]
        let third = try payload.keep()
        #expect(third !== first && payload.tokens.isEmpty)
        // The kernel knows no such tokens. Each call returns one full batch, the last one nothing.
        #expect(throws: DevmemError.self) { try third.release() }
        #expect(throws: DevmemError.self) { try third.release() }
        try third.release()
        _ = ends.far.rawValue
    }

    @Test func keptMemoryThatTheKernelRefusesIsReturnedByTheNextCall() throws {
        let event = try makeEventDescriptor()
        let buffers = ReceiveBuffers()
        var payload = ReceivedPayload(capacity: 4, host: UnsafeRawBufferPointer(buffers.data))
        payload.removeAll(socket: event.rawValue)
        payload.tokens = [TokenBatch.Range(start: 7, count: 2000)]
        let kept = try payload.keep()
        for _ in 1...3 {
            let error = #expect(throws: DevmemError.self) { try kept.release() }
            #expect(error?.errno == .notSocket && error?.operation.text.contains("1024") == true)
        }
    }
}

/// Waits for several descriptors.
@Suite struct PollerTests {
    @Test func aSetTellsWhoIsReadyAndHowLongItWaited() throws {
        let event = try makeEventDescriptor()
        var set = PollSet<3>()
        set.watch(0, nil)
        set.watch(1, event.rawValue)
        set.watch(2, -7)
        let start = monotonicTime()
        #expect(try set.wait(nanoseconds: 30_000_000) == 0 && set.ready(1).isEmpty)
        #expect(monotonicTime() - start >= 30_000_000)
        notify(event)
        #expect(try set.wait(milliseconds: 10_000) == 1)
        #expect(set.ready(1) == .input && set.ready(0).isEmpty && set.ready(2).isEmpty)
    }

    @Test func aPollerReportsNewsOnceAndCanBeWatchedItself() throws {
        let event = try makeEventDescriptor()
        let other = try makeEventDescriptor()
        let poller = try Poller(reading: [-1, other.rawValue])
        try poller.add(event.rawValue, as: 7, edgeTriggered: true)
        var tags: [UInt64] = []
        #expect(try poller.wait(milliseconds: 0) { tag, _ in tags.append(tag) } == 0)
        notify(event)
        #expect(try poll(poller.rawValue, for: .input, milliseconds: 10_000))
        try poller.wait(milliseconds: 0) { tag, events in
            #expect(events == .input)
            tags.append(tag)
        }
        try poller.wait(milliseconds: 0) { tag, _ in tags.append(tag) }
        #expect(tags == [7])
        poller.remove(event.rawValue)
        notify(event)
        #expect(try poller.wait(milliseconds: 0) { _, _ in } == 0)
    }
}

import CDevmem
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore

/// A sender succeeds only if the peer has received everything.
@Suite(.timeLimit(.minutes(1))) struct StreamEndTests {
    /// What a peer does once it is connected: its descriptor, and what the sender has done so far.
    private typealias Peer = @Sendable (Int32, Sender) -> Void

    /// Lets a peer wait for the sender.
    private final class Sender: Sendable {
        private let sent = Atomic<UInt64>(0)
        private let hasEnded = Atomic<Bool>(false)

        func note(sent bytes: UInt64) { sent.store(bytes, ordering: .relaxed) }
        func end() { hasEnded.store(true, ordering: .relaxed) }

        func await(sent bytes: UInt64) {
            try? awaitCondition("all is sent") { sent.load(ordering: .relaxed) >= bytes }
        }

        func awaitEnd() {
            try? awaitCondition("the sender ends") { hasEnded.load(ordering: .relaxed) }
        }
    }

    /// Sends from host memory to a peer and returns the result.
    private func send(
        _ bytes: UInt64, wait: Int32 = -1, idleLimit: Int32 = 10_000, to peer: @escaping Peer
    ) throws -> (end: Exchange<PatternSource>.End?, error: DevmemError?, counts: SendCounts) {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        let own = try Self.accept(from: listener)
        let sender = Sender()
        defer { sender.end() }
        try runInThread {
            // Blocking, because it waits for nothing else.
            _ = cdm_fcntl(own, F_SETFL, 0)
            peer(own, sender)
        }
        var exchange = try Exchange(
            sending: PatternSource(try Pattern("7"), bytes: bytes),
            from: SendMemory(host: 1 << 20), receiving: PayloadReceiver(nil), chunk: 65536)
        var sink = DiscardingSink()
        do throws(DevmemError) {
            let end = try exchange.run(
                near, into: &sink, until: StopSignal(),
                limits: StreamLimits(idle: idleLimit, closing: wait),
                progress: { sender.note(sent: $0) })
            return (end, nil, exchange.counts)
        } catch {
            return (nil, error, exchange.counts)
        }
    }

    /// Accepts the pending connection; the caller owns the descriptor.
    private static func accept(from listener: borrowing Listener) throws -> Int32 {
        guard let connection = try listener.accept() else {
            Issue.record("nobody came")
            return -1
        }
        return dup(connection.rawValue)
    }

    /// Waits until payload has arrived that nobody has read.
    private static func awaitUnread(_ number: Int32) {
        var watched = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        _ = poll(&watched, 1, 30_000)
    }

    private static func drain(_ number: Int32) -> Int {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var all = 0
        while true {
            let count = read(number, &buffer, buffer.count)
            guard count > 0 else { return all }
            all += count
        }
    }

    /// The peer's kernel has acknowledged all, but the peer has not read it and never will.
    @Test func aResetAfterTheLastAcknowledgementIsNoDelivery() throws {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        let own = try Self.accept(from: listener)
        #expect(write(near.rawValue, "abc", 3) == 3)
        Self.awaitUnread(own)
        try awaitCondition("all is acknowledged") { () throws(DevmemError) in
            try near.unacknowledged() == 0
        }
        #expect(try near.hasDelivered())
        close(own)
        #expect(
            try StopSignal().wait(for: near.rawValue, events: Int32(POLLIN), milliseconds: 10_000)
                == .ready)
        let error = #expect(throws: DevmemError.self) { _ = try near.hasDelivered() }
        #expect(error?.errno == .connectionReset)
        // The error is read by now, and the connection is gone all the same.
        var memory: [UInt8] = [1]
        let send = #expect(throws: DevmemError.self) {
            try memory.withUnsafeMutableBytes { bytes in
                let base = try #require(bytes.baseAddress)
                _ = try near.sendHost(
                    (MemoryRange(offset: 0, count: 1), MemoryRange(offset: 0, count: 0)), base: base
                )
            }
        }
        #expect(send?.errno == .brokenPipe)
    }

    @Test func aPeerThatReadsEverythingIsASuccess() throws {
        let result = try send(3_000_000) { number, _ in
            _ = Self.drain(number)
            close(number)
        }
        #expect(result.end == .finished && result.error == nil)
        #expect(result.counts.acknowledgedBytes == 3_000_000)
    }

    @Test func aPeerThatEndsItsHalfFirstAndReadsEverythingIsASuccess() throws {
        let result = try send(3_000_000) { number, _ in
            shutdown(number, Int32(SHUT_WR))
            Self.awaitUnread(number)
            _ = Self.drain(number)
            close(number)
        }
        #expect(result.end == .finished && result.error == nil)
        #expect(result.counts.acknowledgedBytes == 3_000_000)
    }

    /// The peer has ended its half, but nothing says that it will read what was sent.
    @Test func anEndedHalfIsNoAcknowledgement() throws {
        let result = try send(300_000, idleLimit: 400) { number, sender in
            shutdown(number, Int32(SHUT_WR))
            sender.awaitEnd()
            close(number)
        }
        #expect(result.end == nil && result.error != nil)
        #expect(result.counts.acknowledgedBytes < 300_000)
    }

    @Test(arguments: [true, false]) func aResetWithDataUnreadIsAFailure(endsHalf: Bool) throws {
        let result = try send(300_000) { number, sender in
            if endsHalf { shutdown(number, Int32(SHUT_WR)) }
            sender.await(sent: 300_000)
            // Unread data makes this a reset.
            close(number)
        }
        #expect(result.end == nil)
        let error = try #require(result.error)
        #expect(error.errno == .connectionReset || error.errno == .brokenPipe)
        let text = "the peer acknowledged \(result.counts.acknowledgedBytes) of 300000 bytes"
        #expect(error.message == text)
    }

    /// A reset that no call has reported yet.
    @Test func endingAStreamThatWasResetTellsOfTheReset() throws {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        let far = try Self.accept(from: listener)
        var hard = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            far, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        close(far)
        _ = try StopSignal().wait(for: near.rawValue, events: Int32(POLLIN), milliseconds: 5000)
        let error = #expect(throws: DevmemError.self) { try near.finishSending() }
        #expect(error?.errno == .connectionReset && error?.operation.text == "send to \(near.peer)")
    }

    /// The sender does not wait for the peer to close, but does wait for its acknowledgement.
    @Test func withoutAWaitEverythingIsAcknowledgedToo() throws {
        let result = try send(2_000_000, wait: 0) { number, sender in
            Self.awaitUnread(number)
            _ = Self.drain(number)
            sender.awaitEnd()
            close(number)
        }
        #expect(result.end == .peerStillOpen || result.end == .finished)
        #expect(result.counts.acknowledgedBytes == 2_000_000)
    }
}

/// A peer that vanished is noticed.
@Suite struct PeerTimeoutTests {
    private func option(_ level: Int32, _ name: Int32, of number: Int32) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(number, level, name, &value, &length) == 0 ? value : -1
    }

    @Test func allQuestionsFitTheTime() {
        for seconds in [2, 3, 4, 5, 6, 7, 10, 11, 59, 60, 120, 3600, 65_533, 65_534] {
            guard let timeout = PeerTimeout(seconds: seconds) else {
                Issue.record("no timeout of \(seconds) s")
                continue
            }
            let all = Int(timeout.idle) + Int(timeout.interval) * Int(timeout.probes)
            #expect(all <= seconds && all >= seconds * 3 / 4, "\(seconds) s")
            // The kernel's limits: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT.
            #expect(timeout.idle <= 32767 && timeout.interval <= 32767 && timeout.probes <= 127)
            #expect((1000...120_000).contains(timeout.retransmission))
        }
        for seconds in [Int.min, -1, 0, 1, 65_535, .max] {
            #expect(PeerTimeout(seconds: seconds) == nil)
        }
        #expect(PeerTimeout.standard.seconds == 120 && PeerTimeout.off.seconds == nil)
    }

    @Test func bothEndsHaveItByDefaultAndCanBeWithout() throws {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        guard let far = try listener.accept() else {
            Issue.record("nobody came")
            return
        }
        for number in [near.rawValue, far.rawValue] {
            #expect(option(SOL_SOCKET, SO_KEEPALIVE, of: number) == 1)
            #expect(option(cdm_IPPROTO_TCP, TCP_KEEPIDLE, of: number) == 60)
            #expect(option(cdm_IPPROTO_TCP, TCP_KEEPINTVL, of: number) == 12)
            #expect(option(cdm_IPPROTO_TCP, TCP_KEEPCNT, of: number) == 5)
        }
    }

    /// Without a timeout the system's settings apply; with one, probes are at least as far apart as
    /// those.
    @Test func theSystemsSettingsAreLeftWhereNothingIsAskedFor() throws {
        let loopback = try #require(IPAddress(bytes: [127, 0, 0, 1]))
        let listener = try Listener(binding: Endpoint(address: loopback, port: 0))
        try listener.listen()
        func pair(_ timeout: PeerTimeout) throws -> [(keepalive: Int32, idle: Int32, retry: Int32?)]
        {
            let near = try Connection(to: listener.endpoint, from: nil, pinnedTo: nil)
            _ = try StopSignal().wait(for: near.rawValue, events: Int32(POLLOUT))
            try near.finishConnecting(endingWhenSilent: timeout)
            guard let far = try listener.accept(endingWhenSilent: timeout) else {
                Issue.record("nobody came")
                return []
            }
            return [
                (near.rawValue, near.maximumRetransmissionTimeout),
                (far.rawValue, far.maximumRetransmissionTimeout),
            ]
            .map {
                (
                    option(SOL_SOCKET, SO_KEEPALIVE, of: $0.0),
                    option(cdm_IPPROTO_TCP, TCP_KEEPIDLE, of: $0.0), $0.1
                )
            }
        }
        let system = (try? numbers(in: "/proc/sys/net/ipv4/tcp_rto_max_ms"))?.first.map {
            Int32(clamping: $0)
        }
        for end in try pair(.off) {
            #expect(end.keepalive == 0 && end.retry == system)
        }
        for end in try pair(try #require(PeerTimeout(seconds: 240))) {
            #expect(end.keepalive == 1 && end.idle == 120)
            #expect(end.retry == system.map { min($0, 20_000) })
        }
    }
}

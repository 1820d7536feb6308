import CDevmem
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import DevmemCore

@Suite(.serialized, .timeLimit(.minutes(1))) struct InputStreamTests {
    /// Makes a pipe, and opens its end for reading by name.
    private struct Pipe: ~Copyable {
        let writer: Descriptor
        let input: InputStream

        init() throws(DevmemError) {
            var ends: [Int32] = [-1, -1]
            try retrying("make a pipe") { pipe(&ends) }
            let reader = Descriptor(owning: ends[0])
            let writer = Descriptor(owning: ends[1])
            input = try InputStream("/proc/self/fd/\(reader.rawValue)")
            self.writer = writer
        }

        consuming func closingWriter() -> InputStream { input }
    }

    private func accepted(from listener: borrowing Listener) throws -> Connection {
        guard let connection = try listener.accept() else {
            throw DevmemError(.invalid, call: "accept")
        }
        return connection
    }

    @Test func allOfAPipeIsSentAndItsEndIsNoticed() throws {
        let pipe = try Pipe()
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(write(pipe.writer.rawValue, bytes, bytes.count) == bytes.count)
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        let far = try accepted(from: listener)
        var exchange = try Exchange(
            sending: pipe.closingWriter(), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        var sink = DiscardingSink()
        let end = try exchange.run(
            near, into: &sink, until: StopSignal(), limits: StreamLimits(idle: 10_000, closing: 0))
        #expect(end == .peerStillOpen && exchange.counts.sentBytes == 5000)
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while received.count < bytes.count {
            let count = recv(far.rawValue, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            received += buffer[..<count]
        }
        #expect(received == bytes)
    }

    /// A read of it would block.
    @Test func aSilentPipeKeepsNoPayloadWaiting() throws {
        let pipe = try Pipe()
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        let far = try accepted(from: listener)
        #expect(send(far.rawValue, [1, 2, 3], 3, 0) == 3)
        let kept = dup(pipe.writer.rawValue)
        defer { close(kept) }
        var exchange = try Exchange(
            sending: pipe.closingWriter(), from: SendMemory(host: 4096),
            receiving: PayloadReceiver(nil), chunk: 4096)
        var received = 0
        var sink = PayloadHandler(needing: .extents) { payload in
            received += payload.extents.reduce(0) { $0 + $1.length }
        }
        let error = #expect(throws: DevmemError.self) {
            _ = try exchange.run(
                near, into: &sink, until: StopSignal(), limits: StreamLimits(idle: 200))
        }
        #expect(error?.errno == .timedOut && received == 3)
    }

    @Test func anErrorIsNotTheEnd() throws {
        var input = try InputStream("/")
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { room.deallocate() }
        let error = #expect(throws: DevmemError.self) {
            _ = try input.fill(room, at: RingPosition(position: 0, capacity: 4096))
        }
        #expect(error?.errno == .isDirectory)
    }

    /// A full pipe blocks its writer.
    @Test func halfOfAPipeIsSentAtOnce() throws {
        let pipe = try Pipe()
        let size = Int(cdm_fcntl(pipe.writer.rawValue, cdm_F_GETPIPE_SZ, 0))
        #expect(size >= 4096 && pipe.input.coalescingTarget == size / 2)
        #expect(pipe.input.remaining == nil)
    }

    /// No signal ends a call that blocks in the thread of a connection.
    @Test func aFIFOWithoutAWriterKeepsNobodyWaiting() throws {
        let path = "/tmp/devmemtcp-input-\(UInt64.random(in: 0...(.max)))"
        try retrying("make a FIFO") { mkfifo(path, 0o600) }
        defer { unlink(path) }
        let opened = Mutex<Int32?>(nil)
        try runInThread {
            guard let input = try? InputStream(path, waits: false) else { return }
            opened.withLock { $0 = dup(input.inputDescriptor ?? -1) }
        }
        do throws(DevmemError) {
            try awaitCondition("it is open") { () throws(DevmemError) in
                opened.withLock { $0 != nil }
            }
        } catch {
            // The thread must not wait for ever.
            _ = try Descriptor.open(path, O_WRONLY | O_NONBLOCK)
            throw error
        }
        let reader = Descriptor(owning: try #require(opened.withLock { $0 }))
        // That nobody has written yet is not the end.
        #expect(try !poll(reader.rawValue, for: .input, milliseconds: 0))
        var input = try InputStream(path, waits: false)
        let writer = try Descriptor.open(path, O_WRONLY | O_NONBLOCK)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
        defer { room.deallocate() }
        let place = RingPosition(position: 0, capacity: 4)
        guard case .wouldBlock = try input.fill(room, at: place) else {
            Issue.record("it did not say that it would block")
            return
        }
        #expect(write(writer.rawValue, [1, 2, 3] as [UInt8], 3) == 3)
        #expect(try poll(input.inputDescriptor ?? -1, for: .input, milliseconds: 0))
        guard case .bytes(3) = try input.fill(room, at: place) else {
            Issue.record("the bytes have not come")
            return
        }
        #expect(Array(room[..<3]) == [1, 2, 3])
    }

    @Test func onlyAFileIsReadDirectly() throws {
        #expect(try !InputStream("-", direct: true).isDirect)
        #expect(try !InputStream("/dev/null").isDirect)
    }
}

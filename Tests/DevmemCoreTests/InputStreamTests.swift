import CDevmem
import Glibc
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

    @Test func onlyAFileIsReadDirectly() throws {
        #expect(try !InputStream("-", direct: true).isDirect)
        #expect(try !InputStream("/dev/null").isDirect)
    }
}

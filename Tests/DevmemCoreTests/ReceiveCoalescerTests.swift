import CDevmem
import Glibc
import TestSupport
import Testing

@testable import DevmemCore

/// Provides a connection over loopback.
private func withConnection(
    _ body: (borrowing Connection) throws -> Void
) throws {
    let listener = try listenOnLoopback()
    let near = try connected(to: listener.endpoint)
    try body(near)
}

private func lowWater(_ connection: borrowing Connection) -> Int32 {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(connection.rawValue, SOL_SOCKET, SO_RCVLOWAT, &value, &length) == 0
        ? value : -1
}

@Suite struct ReceiveCoalescerTests {
    @Test func streamIsCoalescedAndItsEndIsNotWaitedFor() throws {
        try withConnection { connection in
            var coalescer = ReceiveCoalescer(memory: 64 << 20)
            // At any load, this much counts as a stream.
            coalescer.received(1 << 40)
            let first = (try coalescer.prepare(connection), lowWater(connection))
            #expect(first.0 == 4 && first.1 > 1)
            let second = (try coalescer.prepare(connection), lowWater(connection))
            #expect(second.0 == nil && second.1 == 1)
        }
    }

    @Test func littleMemoryIsNotHeldBack() throws {
        try withConnection { connection in
            var coalescer = ReceiveCoalescer(memory: 32 << 10)
            coalescer.received(1 << 40)
            _ = try coalescer.prepare(connection)
            let mark = lowWater(connection)
            #expect((1...4 << 10).contains(mark))
        }
    }

    @Test func whatComesAloneIsTakenAtOnce() throws {
        try withConnection { connection in
            var coalescer = ReceiveCoalescer(memory: 64 << 20)
            coalescer.received(1)
            let wait = (try coalescer.prepare(connection), lowWater(connection))
            #expect(wait.0 == nil && wait.1 == 1)
        }
    }
}

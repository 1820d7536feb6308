import Glibc

/// Coalesces received data while it keeps arriving, because each wakeup has a fixed cost.
package struct ReceiveCoalescer: ~Copyable {
    /// The most bytes to wait for.
    private static let most = 512 << 10
    /// Slower streams, which bring fewer bytes in the time limit, are not coalesced.
    private static let least = 64 << 10
    /// The receive buffer's size is read once in this number of waits.
    private static let waitsPerSizeCheck = 32

    private var rate: InputCoalescer
    private let target: Int
    private var received = 0
    private var waits = 0
    private var bufferSize = 0
    /// The current value of SO_RCVLOWAT.
    private var lowWater = 1

    /// - Parameter memory: the size in bytes of the memory that the NIC receives into; unread
    ///   payload must leave most of it free.
    package init(memory: UInt64) {
        target = Int(min(UInt64(Self.most), memory / 8))
        rate = InputCoalescer(target: max(target, Self.least + 1), now: monotonicTime())
    }

    /// Records the bytes of a receive call.
    package mutating func received(_ bytes: Int) {
        received += bytes
    }

    /// Ends a coalescing wait: whatever has arrived makes the connection ready.
    ///
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    package mutating func end(_ connection: borrowing Connection) throws(DevmemError) {
        guard lowWater > 1 else { return }
        try connection.wake(at: 1)
        lowWater = 1
    }

    /// Prepares the connection for a wait.
    ///
    /// - Returns: the timeout of the wait in milliseconds; nil for none.
    /// - Throws: `DevmemError` of kind `system` if setsockopt(2) fails.
    package mutating func prepare(_ connection: borrowing Connection) throws(DevmemError) -> Int32?
    {
        rate.arrived(received, at: monotonicTime())
        received = 0
        let coalesces = rate.shouldWait(with: Self.least)
        var wanted = 1
        if coalesces {
            if waits % Self.waitsPerSizeCheck == 0 { bufferSize = connection.receiveBufferSize }
            waits += 1
            // The peer must be able to continue sending while this thread wakes up.
            wanted = max(1, min(target, bufferSize / 4))
        }
        if wanted != lowWater {
            try connection.wake(at: wanted)
            lowWater = wanted
        }
        return coalesces ? Int32(InputCoalescer.limit / 1_000_000) : nil
    }
}

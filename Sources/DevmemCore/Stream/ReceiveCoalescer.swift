import Glibc

/// Coalesces what arrives on a connection before this end wakes, while it keeps coming: each wake has a
/// fixed cost.
struct ReceiveCoalescer: ~Copyable {
    /// As many bytes are worth a wake.
    private static let most = 512 << 10
    /// A stream that brings less in the time it may wait is not made to wait.
    private static let least = 64 << 10
    /// How often the size of the receive buffer is looked at: once in so many waits.
    private static let waitsPerLook = 32

    private var rate: InputCoalescer
    private let target: Int
    private var received = 0
    private var waits = 0
    private var bufferSize = 0
    /// SO_RCVLOWAT as it stands.
    private var lowWater = 1

    /// - Parameter memory: bytes that the NIC receives into; unread payload must leave it most of
    ///   them.
    init(memory: UInt64) {
        target = Int(min(UInt64(Self.most), memory / 8))
        rate = InputCoalescer(target: max(target, Self.least + 1), now: monotonicTime())
    }

    /// Notes what a receive call brought.
    mutating func received(_ bytes: Int) {
        received += bytes
    }

    /// Prepares the connection for waiting.
    ///
    /// - Returns: how many milliseconds at most pass before looking all the same; nil for any time.
    /// - Throws: `DevmemError` of kind `system` if the socket fails.
    mutating func prepare(_ connection: borrowing Connection) throws(DevmemError) -> Int32? {
        rate.arrived(received, at: monotonicTime())
        received = 0
        let coalesces = rate.isWorthWaiting(with: Self.least)
        var wanted = 1
        if coalesces {
            if waits % Self.waitsPerLook == 0 { bufferSize = connection.receiveBufferSize }
            waits += 1
            // The peer must be able to send on while this end wakes.
            wanted = max(1, min(target, bufferSize / 4))
        }
        if wanted != lowWater {
            try connection.wake(at: wanted)
            lowWater = wanted
        }
        return coalesces ? Int32(InputCoalescer.limit / 1_000_000) : nil
    }
}

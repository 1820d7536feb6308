import DevmemCore
import Synchronization

/// A connection in transit to the thread that will own it, with counters that other threads can
/// read.
final class BenchConnection: Sendable {
    let connection: Connection
    /// Payload bytes received and sent so far.
    let received = Atomic<UInt64>(0)
    let sent = Atomic<UInt64>(0)

    init(_ connection: consuming Connection) {
        self.connection = connection
    }
}

/// The counters of a flow at a point in time.
struct FlowSnapshot: Sendable {
    var received = ReceiveCounts()
    var sent = SendCounts()
    var info: ConnectionInfo?
}

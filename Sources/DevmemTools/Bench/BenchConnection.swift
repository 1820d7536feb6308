import DevmemCore
import Synchronization

/// A connection on its way to the thread that owns it from then on.
final class BenchConnection: Sendable {
    let connection: Connection
    /// Payload bytes received and sent so far, for whoever wants to see them move.
    let received = Atomic<UInt64>(0)
    let sent = Atomic<UInt64>(0)

    init(_ connection: consuming Connection) {
        self.connection = connection
    }
}

/// What a flow has done up to a moment.
struct FlowSnapshot: Sendable {
    var received = ReceiveCounts()
    var sent = SendCounts()
    var info: ConnectionInfo?
}

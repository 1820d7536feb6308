import Glibc

/// What can end a session besides a signal, and is looked at while the session waits.
protocol StopCause: AnyObject {
    /// The descriptor that can be read when there is something to look at; -1 if none ever can.
    var rawValue: Int32 { get }
    /// Looks, without waiting; returns whether the session shall end.
    func look() -> Bool
}

/// Watches the NIC for a connection that is received by the thread that would watch.
final class NICStopCause: StopCause {
    private let taken: TakenQueues
    private var watch: HoldWatch
    /// Why the session shall end: the NIC is gone.
    private(set) var failure: DevmemError?

    init(_ taken: TakenQueues, _ watch: consuming HoldWatch) {
        self.taken = taken
        self.watch = watch
    }

    var rawValue: Int32 { watch.rawValue }

    func look() -> Bool {
        guard failure == nil else { return true }
        do throws(DevmemError) {
            try taken.look(&watch)
            return false
        } catch {
            failure = error
            return true
        }
    }
}

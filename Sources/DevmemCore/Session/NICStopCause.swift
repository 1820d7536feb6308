/// Watches the NIC for a connection that is received by the thread that would watch.
final class NICStopCause: StopCause {
    private let taken: TakenQueues
    private var watch: BindingWatch
    /// Why the session shall end: the NIC is gone.
    private(set) var failure: DevmemError?

    init(_ taken: TakenQueues, _ watch: consuming BindingWatch) {
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

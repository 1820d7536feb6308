/// Watches the NIC for a connection that is received by the thread that would watch.
package final class NICStopCause: StopCause {
    private let setup: NICSetup
    /// Why the session must end: the NIC is gone.
    package private(set) var failure: DevmemError?

    init(_ setup: NICSetup) {
        self.setup = setup
    }

    package var rawValue: Int32 { setup.watchDescriptor }

    package func look() -> Bool {
        guard failure == nil else { return true }
        do throws(DevmemError) {
            try setup.look()
            return false
        } catch {
            failure = error
            return true
        }
    }
}

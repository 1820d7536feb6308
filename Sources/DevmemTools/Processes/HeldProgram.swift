package import DevmemCore
import Glibc

extension BoundNIC {
    /// Holds the memory until a program ends, and logs changes on the NIC meanwhile. Signals are
    /// passed on as by `ChildProcess.wait(passing:)`. If the NIC disappears, the program gets
    /// SIGTERM.
    ///
    /// - Parameters:
    ///   - child: the program.
    ///   - stop: signals that end this process.
    ///   - server: what hands the dma-buf over to other programs meanwhile, if any.
    /// - Returns: how the program ended.
    /// - Throws: `DevmemError` of kind `system`, with `ENODEV` if the NIC disappeared.
    package func hold(
        for child: borrowing ChildProcess, passing stop: borrowing StopSignal,
        serving server: DmabufServer? = nil
    ) throws(DevmemError) -> ChildProcess.End {
        var passing = ChildProcess.SignalCount()
        do throws(DevmemError) {
            while true {
                switch try hold(until: stop, orReading: child.rawValue, serving: server) {
                case .signal(let arrival): child.pass(arrival, counting: &passing)
                case .ready: return try child.reap()
                }
            }
        } catch {
            child.send(SIGTERM)
            _ = try child.wait(passing: stop)
            throw error
        }
    }
}

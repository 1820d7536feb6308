package import DevmemCore
import Glibc
import SystemPackage

/// An interface's queues at one moment, to work rates out from two.
package struct QueueSample: Sendable {
    /// When it was taken.
    package var time: ContinuousClock.Instant
    /// Whether the interface was up; the queues of one that is down are not told.
    package var isUp: Bool
    /// Whether the driver counts by queue; without that there are no rates.
    package var isCounted: Bool
    /// The queues, receive first, without RSS and rules.
    package var queues: [QueueState]
    /// Page pools that wait for what is in flight.
    package var detachedPools: [DetachedPool]

    /// Makes a sample from its values.
    package init(
        time: ContinuousClock.Instant, isUp: Bool = true, isCounted: Bool = true,
        queues: [QueueState], detachedPools: [DetachedPool] = []
    ) {
        self.time = time
        self.isUp = isUp
        self.isCounted = isCounted
        self.queues = queues
        self.detachedPools = detachedPools
    }

    /// Takes a sample.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if the interface is gone; otherwise as the kernel
    ///   answers.
    package init(of interface: NetworkInterface) throws(DevmemError) {
        do throws(DevmemError) {
            isUp = try links(index: interface.index).first?.isUp ?? false
            let pools = try pagePools().filter { $0.interface == interface.index }
            let infos = try DevmemCore.queues(ofInterface: interface.index)
            let statistics = try queueStatistics(ofInterface: interface.index)
            isCounted = statistics != nil
            queues = joinQueues(infos, pools: pools, statistics: statistics ?? []).queues
            detachedPools = DetachedPool.all(in: pools)
            time = .now
        } catch {
            throw error.errno == Errno(rawValue: ENODEV)
                ? DevmemError(
                    .invalid, call: "watch \(interface.name)", message: "the interface is gone")
                : error
        }
    }

    /// The rates since an earlier sample, and the seconds between both.
    package func rates(since earlier: QueueSample) -> (queues: [QueueRate], seconds: Double) {
        let seconds = (time - earlier.time) / .seconds(1)
        return (queueRates(from: earlier.queues, to: queues, seconds: seconds), seconds)
    }
}

package import DevmemCore
import Glibc
import SystemPackage

/// A sample of an interface's queues. Two samples give rates.
package struct QueueSample: Sendable {
    /// The time of the sample.
    package var time: ContinuousClock.Instant
    /// Whether the interface was up; while it is down, the kernel reports no queues.
    package var isUp: Bool
    /// Whether the driver has per-queue counters; without them there are no rates.
    package var isCounted: Bool
    /// The queues without RSS and flow rules, receive queues first.
    package var queues: [QueueState]
    /// Page pools that wait for memory in flight.
    package var detachedPools: [DetachedPool]

    /// Creates a sample from its values.
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
    /// - Throws: `DevmemError` of kind `invalid` if the interface no longer exists, otherwise with
    ///   the kernel's answer.
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

    /// Returns the rates since an earlier sample, and the seconds between the samples.
    package func rates(since earlier: QueueSample) -> (queues: [QueueRate], seconds: Double) {
        let seconds = (time - earlier.time) / .seconds(1)
        return (queueRates(from: earlier.queues, to: queues, seconds: seconds), seconds)
    }
}

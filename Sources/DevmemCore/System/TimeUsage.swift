import CDevmem
import Glibc

/// Measures the elapsed time and this thread's CPU time since its creation.
package struct TimeUsage {
    private let begun = ContinuousClock.now
    private let before = processorTime()

    package init() {}

    /// The seconds so far: elapsed, in user mode and in the kernel.
    package var soFar: (seconds: Double, user: Double, system: Double) {
        let now = processorTime()
        return (
            (ContinuousClock.now - begun) / .seconds(1), now.user - before.user,
            now.system - before.system
        )
    }
}

/// Returns this thread's CPU time in seconds.
private func processorTime() -> (user: Double, system: Double) {
    var usage = rusage()
    getrusage(cdm_RUSAGE_THREAD, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

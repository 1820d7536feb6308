import CDevmem
import Glibc

/// What time and processor time of this thread pass from its making on.
package struct SpentTime {
    private let begun = ContinuousClock.now
    private let before = processorTime()

    package init() {}

    /// So far, in seconds: passed, in user mode, and in the kernel.
    package var soFar: (seconds: Double, user: Double, system: Double) {
        let now = processorTime()
        return (
            (ContinuousClock.now - begun) / .seconds(1), now.user - before.user,
            now.system - before.system
        )
    }
}

/// Processor time of this thread in seconds.
private func processorTime() -> (user: Double, system: Double) {
    var usage = rusage()
    getrusage(cdm_RUSAGE_THREAD, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

import CDevmem

/// Measures the elapsed time and this thread's CPU time since its creation.
package struct TimeUsage {
    private let begun = ContinuousClock.now
    private let before = CPUTime.of(cdm_RUSAGE_THREAD)

    package init() {}

    /// The seconds so far: elapsed, in user mode and in the kernel.
    package var soFar: (seconds: Double, user: Double, system: Double) {
        let now = CPUTime.of(cdm_RUSAGE_THREAD)
        return (
            (ContinuousClock.now - begun) / .seconds(1), now.user - before.user,
            now.system - before.system
        )
    }
}

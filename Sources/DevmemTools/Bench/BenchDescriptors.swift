import DevmemCore
/// Checks, before the NIC is steered, whether the limit on open descriptors suffices for a
/// benchmark.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE if it does not.
func requireDescriptors(for plan: BenchPlan, ports: Int) throws(DevmemError) {
    try requireDescriptors(
        descriptorsNeeded(flows: plan.flows, threads: plan.threads, ports: ports),
        to: "measure \(counted(plan.flows, "flow")) at once")
}

/// Returns the number of descriptors that one side of a benchmark may need. Pure.
func descriptorsNeeded(flows: Int, threads: Int, ports: Int) -> UInt64 {
    func bounded(_ number: Int) -> UInt64 { UInt64(clamping: max(1, min(number, 1 << 20))) }
    // Per flow a socket; per thread an epoll descriptor and, for sending, a dma-buf, the file of its
    // pages and its binding.
    return bounded(flows) + bounded(threads) * 4 + bounded(ports) + 40
}

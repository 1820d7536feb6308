import DevmemCore
/// Refuses a benchmark, before its NIC is steered, if this process may not have the descriptors that it
/// may need.
///
/// - Throws: `DevmemError` of kind `invalid` with EMFILE.
func requireDescriptors(for plan: BenchPlan, ports: Int) throws(DevmemError) {
    try requireDescriptors(
        descriptorsNeeded(flows: plan.flows, threads: plan.threads, ports: ports),
        to: "measure \(plan.flows) flows at once")
}

/// How many descriptors the end of a benchmark may need. Pure.
func descriptorsNeeded(flows: Int, threads: Int, ports: Int) -> UInt64 {
    func bounded(_ number: Int) -> UInt64 { UInt64(clamping: max(1, min(number, 1 << 20))) }
    // A socket for each flow; for each thread a poll, and to send a dma-buf and its binding.
    return bounded(flows) + bounded(threads) * 4 + bounded(ports) + 40
}

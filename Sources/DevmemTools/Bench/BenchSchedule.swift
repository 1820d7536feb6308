import DevmemCore
/// Who carries which flow. Pure.
struct BenchSchedule: Equatable, Sendable {
    /// The flows of each thread, by number from zero; no thread is without one.
    let flowsOfThreads: [[Int]]
    /// The processor of each thread; empty if none is pinned.
    let processors: [Int]

    /// Deals the flows to the threads in turn, and the processors to the threads.
    init(flows: Int, threads: Int, processors: [Int]) {
        let count = min(max(threads, 1), max(flows, 1))
        flowsOfThreads = (0..<count).map { Array(stride(from: $0, to: flows, by: count)) }
        self.processors =
            processors.isEmpty ? [] : (0..<count).map { processors[$0 % processors.count] }
    }

    /// The flow's share of bytes that all send together; the first flows get what is left over.
    static func share(of bytes: UInt64, flow: Int, flows: Int) -> UInt64 {
        let count = UInt64(flows)
        return bytes / count + (UInt64(flow) < bytes % count ? 1 : 0)
    }

    /// Which of several listening ports a flow goes to, so that the queues behind them share the
    /// flows.
    static func port(of flow: Int, ports: Int) -> Int { flow % ports }
}

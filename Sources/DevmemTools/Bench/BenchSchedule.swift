import DevmemCore
/// The assignment of flows to threads. Pure.
struct BenchSchedule: Equatable, Sendable {
    /// The flows of each thread, by index from 0; each thread has at least one.
    let flowsOfThreads: [[Int]]

    /// Assigns flows to threads in turn.
    init(flows: Int, threads: Int) {
        let count = min(max(threads, 1), max(flows, 1))
        flowsOfThreads = (0..<count).map { Array(stride(from: $0, to: flows, by: count)) }
    }

    /// Returns a flow's share of a total in bytes; the first flows get the remainder.
    static func share(of bytes: UInt64, flow: Int, flows: Int) -> UInt64 {
        let count = UInt64(flows)
        return bytes / count + (UInt64(flow) < bytes % count ? 1 : 0)
    }

    /// Returns the index of the listening port for a flow, so that the queues share the flows.
    static func port(of flow: Int, ports: Int) -> Int { flow % ports }
}

import CDevmem

/// The CPU affinity of a thread.
package enum Affinity {
    /// The number of CPUs in the mask.
    package static let limit = 4096

    /// Pins the calling thread to one CPU.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_setaffinity(2).
    package static func pin(to processor: Int) throws(DevmemError) {
        var mask = emptyMask
        mask[processor / UInt.bitWidth] = 1 << UInt(processor % UInt.bitWidth)
        do throws(DevmemError) {
            try retrying("run on processor \(processor)") {
                mask.withUnsafeBytes { cdm_set_affinity($0.baseAddress, $0.count) }
            }
        } catch {
            throw error.errno == .invalidArgument
                ? error.advising("nproc shows how many there are; they are numbered from 0") : error
        }
    }

    /// Runs a closure on each processor that the calling thread may use, and then lets it run on all
    /// of them again. A processor that has gone offline is left out.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_getaffinity(2) or, at the
    ///   end, of sched_setaffinity(2).
    package static func onEach(_ body: () -> Void) throws(DevmemError) {
        var mask = emptyMask
        try retrying("read the processors of a thread") {
            mask.withUnsafeMutableBytes { cdm_get_affinity($0.baseAddress, $0.count) }
        }
        for processor in 0..<limit
        where mask[processor / UInt.bitWidth] & 1 << UInt(processor % UInt.bitWidth) != 0 {
            guard (try? pin(to: processor)) != nil else { continue }
            body()
        }
        try retrying("run on all processors again") {
            mask.withUnsafeBytes { cdm_set_affinity($0.baseAddress, $0.count) }
        }
    }

    private static var emptyMask: [UInt] { [UInt](repeating: 0, count: limit / UInt.bitWidth) }
}

import CDevmem

/// The CPU affinity of a thread.
package enum Affinity {
    /// The number of CPUs in the mask.
    package static let limit = 4096

    /// Pins the calling thread to one CPU.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_setaffinity(2).
    package static func pin(to processor: Int) throws(DevmemError) {
        var mask = [UInt](repeating: 0, count: limit / UInt.bitWidth)
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
}

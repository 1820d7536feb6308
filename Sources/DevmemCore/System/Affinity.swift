import CDevmem

/// The CPU affinity of a thread.
package enum Affinity {
    /// The number of CPUs in the mask.
    package static let limit = 4096

    /// Pins the calling thread to one CPU.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_setaffinity(2).
    package static func pin(to processor: Int) throws(DevmemError) {
        do throws(DevmemError) {
            try set(mask(of: [processor]), "run on processor \(processor)")
        } catch {
            throw error.errno == .invalidArgument
                ? error.advising("nproc shows how many there are; they are numbered from 0") : error
        }
    }

    /// Runs a closure on each processor of the host, and then lets the calling thread run where it
    /// could before, as after taskset(1). Processors that a cpuset excludes, or that have gone
    /// offline, are left out.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_getaffinity(2) or, at the
    ///   end, of sched_setaffinity(2).
    package static func onEach(_ body: () -> Void) throws(DevmemError) {
        let before = try allowed()
        for processor in before.union(online()).sorted() {
            guard (try? pin(to: processor)) != nil else { continue }
            body()
        }
        try confine(to: before)
    }

    /// Returns the processors of the host that are online; none if the kernel does not list them.
    package static func online() -> Set<Int> {
        lines(of: "/sys/devices/system/cpu/online").first.flatMap(processors(inList:)) ?? []
    }

    /// Returns the processors that the calling thread may use.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_getaffinity(2).
    package static func allowed() throws(DevmemError) -> Set<Int> {
        var mask = mask(of: [])
        try retrying("read the processors of a thread") {
            mask.withUnsafeMutableBytes { cdm_get_affinity($0.baseAddress, $0.count) }
        }
        return Set((0..<limit).filter { mask[$0 / UInt.bitWidth] & bit($0) != 0 })
    }

    /// Confines the calling thread, and threads that it creates later, to processors.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of sched_setaffinity(2).
    package static func confine(to processors: Set<Int>) throws(DevmemError) {
        try set(mask(of: processors), "run on processors \(list(of: processors))")
    }

    /// Reads the kernel's list of processors, such as `0-3,8`
    /// (Documentation/admin-guide/cputopology.rst). Numbers beyond the limit are left out. Pure.
    ///
    /// - Returns: the processors; nil if it is no such list.
    package static func processors(inList text: some StringProtocol) -> Set<Int>? {
        var processors: Set<Int> = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), let first = number(ends[0]),
                let last = ends.count == 2 ? number(ends[1]) : first, first <= last
            else { return nil }
            guard first < limit else { continue }
            processors.formUnion(first...min(last, limit - 1))
        }
        return processors
    }

    /// Formats processors as the kernel does: `0-3,8`. Pure.
    package static func list(of processors: some Sequence<Int>) -> String {
        numberList(processors.map { UInt32(clamping: $0) })
    }

    private static func number(_ text: some StringProtocol) -> Int? {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        return Int(text) ?? .max
    }

    private static func set(_ mask: [UInt], _ call: String) throws(DevmemError) {
        try retrying(call) { mask.withUnsafeBytes { cdm_set_affinity($0.baseAddress, $0.count) } }
    }

    private static func mask(of processors: Set<Int>) -> [UInt] {
        var mask = [UInt](repeating: 0, count: limit / UInt.bitWidth)
        for processor in processors where (0..<limit).contains(processor) {
            mask[processor / UInt.bitWidth] |= bit(processor)
        }
        return mask
    }

    private static func bit(_ processor: Int) -> UInt { 1 << UInt(processor % UInt.bitWidth) }
}

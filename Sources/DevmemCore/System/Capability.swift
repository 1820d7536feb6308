import CDevmem
import Glibc

/// Capabilities of a thread (capabilities(7)), as the bits of linux/capability.h.
package struct CapabilitySet: OptionSet, Sendable {
    /// One bit for each capability.
    package let rawValue: UInt64

    /// Creates a set from its bits.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Writes to any file.
    package static let dacOverride = CapabilitySet(number: CAP_DAC_OVERRIDE)
    /// Sends signals to any process.
    package static let kill = CapabilitySet(number: CAP_KILL)
    /// Changes the settings of NICs and binds memory to them.
    package static let netAdmin = CapabilitySet(number: CAP_NET_ADMIN)

    private init(number: Int32) {
        rawValue = 1 << UInt64(number)
    }

    fileprivate init(low: UInt32, high: UInt32) {
        rawValue = UInt64(high) << 32 | UInt64(low)
    }

    fileprivate var halves: [UInt32] {
        [UInt32(truncatingIfNeeded: rawValue), UInt32(truncatingIfNeeded: rawValue >> 32)]
    }
}

/// The capability sets of the calling thread; those of other threads are their own.
package struct ThreadCapabilities: Equatable, Sendable {
    /// What the kernel checks.
    package var effective: CapabilitySet
    /// What the thread may take into effect.
    package var permitted: CapabilitySet
    /// What a program that it executes may keep.
    package var inheritable: CapabilitySet

    /// Creates three empty sets.
    package init() {
        effective = []
        permitted = []
        inheritable = []
    }

    /// Returns the sets of the calling thread.
    ///
    /// - Throws: `DevmemError` of kind `system` if capget(2) fails.
    package static func current() throws(DevmemError) -> ThreadCapabilities {
        var header = header
        var halves = [__user_cap_data_struct](repeating: __user_cap_data_struct(), count: 2)
        try retrying("read the capabilities") { cdm_capget(&header, &halves) }
        var sets = ThreadCapabilities()
        sets.effective = CapabilitySet(low: halves[0].effective, high: halves[1].effective)
        sets.permitted = CapabilitySet(low: halves[0].permitted, high: halves[1].permitted)
        sets.inheritable = CapabilitySet(low: halves[0].inheritable, high: halves[1].inheritable)
        return sets
    }

    /// Gives the calling thread these sets. To drop an inheritable capability drops the ambient one
    /// too.
    ///
    /// - Throws: `DevmemError` of kind `system` with EPERM if a set is to grow that may not.
    package func apply() throws(DevmemError) {
        let halves = zip(
            effective.halves, zip(permitted.halves, inheritable.halves)
        ).map {
            __user_cap_data_struct(effective: $0, permitted: $1.0, inheritable: $1.1)
        }
        var header = Self.header
        try retrying("change the capabilities") { cdm_capset(&header, halves) }
    }

    /// Returns the sets without what is not to be kept. Nothing is inheritable any more. Pure.
    package func reduced(to kept: CapabilitySet) -> ThreadCapabilities {
        var sets = ThreadCapabilities()
        sets.effective = effective.intersection(kept)
        sets.permitted = permitted.intersection(kept)
        return sets
    }

    private static var header: __user_cap_header_struct {
        __user_cap_header_struct(version: cdm_CAPABILITY_VERSION, pid: 0)
    }
}

/// Drops capabilities of this thread and of those that it creates, for good: no program that they
/// execute gains any (PR_SET_NO_NEW_PRIVS of prctl(2)).
///
/// - Parameters:
///   - kept: the capabilities that stay, where the thread has them.
///   - reserved: those that stay, but not in effect, for `withCapabilities`.
/// - Throws: `DevmemError` of kind `system` if the kernel refuses.
package func dropCapabilities(
    keeping kept: CapabilitySet = [], inReserve reserved: CapabilitySet = []
) throws(DevmemError) {
    try retrying("give up new privileges") { cdm_set_no_new_privs() }
    var sets = try ThreadCapabilities.current().reduced(to: kept.union(reserved))
    sets.effective.formIntersection(kept)
    try sets.apply()
}

/// Calls `body` with capabilities in effect that this thread may have dropped in part.
///
/// - Parameters:
///   - wanted: the capabilities; those that the thread has no more are left out.
///   - body: the closure.
/// - Returns: what the closure returns.
/// - Throws: `DevmemError` of kind `system` if the kernel refuses, or the closure's.
func withCapabilities<Result: ~Copyable>(
    _ wanted: CapabilitySet, _ body: () throws(DevmemError) -> Result
) throws(DevmemError) -> Result {
    let before = try ThreadCapabilities.current()
    var raised = before
    raised.effective.formUnion(wanted.intersection(before.permitted))
    guard raised != before else { return try body() }
    try raised.apply()
    let result: Result
    do throws(DevmemError) {
        result = try body()
    } catch {
        try before.apply()
        throw error
    }
    try before.apply()
    return result
}

/// Returns whether this thread has CAP_NET_ADMIN.
///
/// - Throws: `DevmemError` of kind `system` if capget(2) fails.
package func hasNetAdmin() throws(DevmemError) -> Bool {
    try ThreadCapabilities.current().effective.contains(.netAdmin)
}

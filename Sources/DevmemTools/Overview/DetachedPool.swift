package import DevmemCore
import Glibc

/// A page pool that its driver has let go of and that cannot be freed, because some of its memory
/// is still in flight.
package struct DetachedPool: Equatable, Sendable {
    /// The pool.
    package var pool: PagePoolInfo
    /// How long ago it was detached, in seconds.
    package var seconds: UInt64

    /// Makes it from its values.
    package init(pool: PagePoolInfo, seconds: UInt64) {
        self.pool = pool
        self.seconds = seconds
    }

    /// The detached ones among pools, the oldest first.
    ///
    /// - Parameters:
    ///   - pools: page pools.
    ///   - now: seconds since boot, suspended time included, as the kernel notes
    ///     (`page_pool_detached` of net/core/page_pool_user.c).
    /// - Returns: those pools, each with how long ago it was detached.
    package static func all(in pools: [PagePoolInfo], now: UInt64 = bootTime()) -> [DetachedPool] {
        pools.compactMap { pool in
            // A time namespace may have a clock of its own (time_namespaces(7)).
            pool.detachedAt.map { DetachedPool(pool: pool, seconds: now - min($0, now)) }
        }
        .sorted { ($1.seconds, $0.pool.id) < ($0.seconds, $1.pool.id) }
    }

    /// Whole seconds since boot (CLOCK_BOOTTIME of clock_gettime(2)).
    package static func bootTime() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(max(time.tv_sec, 0))
    }
}

package import DevmemCore
import Glibc

/// A page pool that its driver has released but the kernel cannot free, because some of its memory
/// is still in flight.
package struct DetachedPool: Equatable, Sendable {
    /// The pool.
    package var pool: PagePoolInfo
    /// The seconds since it was detached.
    package var seconds: UInt64

    /// Creates a detached pool from its values.
    package init(pool: PagePoolInfo, seconds: UInt64) {
        self.pool = pool
        self.seconds = seconds
    }

    /// Returns the detached pools, oldest first.
    ///
    /// - Parameters:
    ///   - pools: page pools.
    ///   - now: seconds since boot including suspend, the kernel's clock for this
    ///     (`page_pool_detached` of net/core/page_pool_user.c).
    /// - Returns: the detached pools with their ages.
    package static func all(in pools: [PagePoolInfo], now: UInt64 = bootTime()) -> [DetachedPool] {
        pools.compactMap { pool in
            // A time namespace can offset the clock (time_namespaces(7)).
            pool.detachedAt.map { DetachedPool(pool: pool, seconds: now - min($0, now)) }
        }
        .sorted { ($1.seconds, $0.pool.id) < ($0.seconds, $1.pool.id) }
    }

    /// Returns the whole seconds since boot (CLOCK_BOOTTIME of clock_gettime(2)).
    package static func bootTime() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(max(time.tv_sec, 0))
    }
}

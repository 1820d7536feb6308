import Glibc

/// Returns the seconds since boot, including suspend, as the kernel timestamps page pools
/// (`ktime_get_boottime` of net/core/page_pool_user.c).
package func secondsSinceBoot() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return UInt64(max(0, time.tv_sec))
}

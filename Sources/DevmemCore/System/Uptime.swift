import Glibc

/// Seconds since boot, those asleep included, as page pools count them (`ktime_get_boottime` of the
/// kernel's net/core/page_pool_user.c).
package func secondsSinceBoot() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return UInt64(max(0, time.tv_sec))
}

import CDevmem
import Glibc

extension SteeringJournal.Owner {
    /// This process.
    init(command: String) {
        self.init(pid: getpid(), startTime: startTicks(ofProcess: "self") ?? 0, command: command)
    }
}

extension SteeringJournal.Interface {
    /// An interface of this process's network namespace.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel does not tell the namespace, or which of
    ///   its runs this is.
    init(_ interface: NetworkInterface) throws(DevmemError) {
        guard let boot = bootID() else { throw unknownBoot("steer \(interface.name)") }
        self.init(
            name: interface.name, index: interface.index, namespace: try namespaceCookie(),
            boot: boot)
    }
}

/// The number of this process's network namespace, which no other has had or will have while
/// the system runs.
func namespaceCookie() throws(DevmemError) -> UInt64 {
    let call = "ask for the network namespace"
    let number = try retrying(call) { socket(AF_INET, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0) }
    let descriptor = Descriptor(owning: number)
    var cookie: UInt64 = 0
    var length = socklen_t(MemoryLayout<UInt64>.size)
    try retrying(call) {
        getsockopt(descriptor.rawValue, SOL_SOCKET, cdm_SO_NETNS_COOKIE, &cookie, &length)
    }
    return cookie
}

private let bootIDPath = "/proc/sys/kernel/random/boot_id"

/// The running system's random id (Documentation/admin-guide/sysctl/kernel.rst); nil if it cannot be
/// read.
func bootID() -> String? {
    lines(of: bootIDPath).first.map(String.init)
}

/// The error of a system whose id cannot be read: what an earlier one has left would look like this
/// one's.
func unknownBoot(_ call: String) -> DevmemError {
    DevmemError(
        .unsupported, call: call,
        message: "\(bootIDPath) cannot be read, so it is not known which journals are of this boot",
        advice: "mount /proc")
}

/// When the running system was started, in seconds since 1970, as its clock now tells.
func secondsAtBoot() -> Int64 {
    var now = timespec()
    var uptime = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    clock_gettime(CLOCK_BOOTTIME, &uptime)
    return Int64(now.tv_sec) - Int64(uptime.tv_sec)
}

/// When a process was started, in clock ticks since boot; nil if there is none.
func startTicks(ofProcess pid: String) -> UInt64? {
    // The name in parentheses may hold anything, also spaces and parentheses.
    guard let line = lines(of: "/proc/\(pid)/stat").last,
        let end = line.lastIndex(of: ")")
    else { return nil }
    let fields = line[line.index(after: end)...].split(separator: " ")
    // Field 22 of proc(5), the third being the first after the name.
    return fields.count > 19 ? UInt64(fields[19]) : nil
}

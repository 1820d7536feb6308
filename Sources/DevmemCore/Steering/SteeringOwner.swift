import CDevmem
import Glibc

extension SteeringJournal.Owner {
    /// Describes this process.
    init(command: String) {
        self.init(pid: getpid(), startTime: startTicks(ofProcess: "self") ?? 0, command: command)
    }
}

extension SteeringJournal.Interface {
    /// Identifies an interface of this process's network namespace.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel does not report the namespace;
    ///   `unsupported` if the boot id cannot be read.
    init(_ interface: NetworkInterface) throws(DevmemError) {
        guard let boot = bootID() else { throw bootIDError("steer \(interface.name)") }
        self.init(
            name: interface.name, index: interface.index, namespace: try namespaceCookie(),
            boot: boot)
    }
}

/// Returns the cookie of this process's network namespace, which is unique while the system runs.
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

/// Returns the boot id (Documentation/admin-guide/sysctl/kernel.rst); nil if it cannot be read.
func bootID() -> String? {
    lines(of: bootIDPath).first.map(String.init)
}

/// Returns the error for an unreadable boot id: without it, what an earlier boot left would pass
/// for this one's.
func bootIDError(_ call: String) -> DevmemError {
    DevmemError(
        .unsupported, call: call,
        message: "\(bootIDPath) cannot be read, so it is not known which journals are of this boot",
        advice: "mount /proc")
}

/// Returns the time of boot in seconds since 1970, by the present clock.
func secondsAtBoot() -> Int64 {
    var now = timespec()
    var uptime = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    clock_gettime(CLOCK_BOOTTIME, &uptime)
    return Int64(now.tv_sec) - Int64(uptime.tv_sec)
}

/// Returns the start time of a process in clock ticks since boot; nil if there is no such process.
func startTicks(ofProcess pid: String) -> UInt64? {
    lines(of: "/proc/\(pid)/stat").last.flatMap(startTicks)
}

/// Returns the start time in clock ticks since boot in the line of a file stat of proc(5). Pure.
func startTicks(inLine line: Substring) -> UInt64? {
    // The command name in parentheses may itself contain spaces and parentheses.
    guard let end = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: end)...].split(separator: " ")
    // Field 22 of proc(5); fields[0] is field 3.
    return fields.count > 19 ? UInt64(fields[19]) : nil
}

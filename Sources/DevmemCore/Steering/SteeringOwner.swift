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
    /// - Throws: `DevmemError` of kind `system` if the kernel does not tell the namespace.
    init(_ interface: NetworkInterface) throws(DevmemError) {
        self.init(
            name: interface.name, index: interface.index, namespace: try namespaceCookie(),
            boot: bootID())
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

/// The running system's random id (Documentation/admin-guide/sysctl/kernel.rst).
func bootID() -> String {
    lines(of: "/proc/sys/kernel/random/boot_id").first.map(String.init) ?? ""
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

/// The name of a process, fit for a terminal: its owner may choose any; nil if there is none.
func nameOfProcess(_ pid: Int32) -> String? {
    lines(of: "/proc/\(pid)/comm").first.map { printable(String($0)) }
}

/// The effective user of a process; nil if there is none. Whose its folder in procfs is says less:
/// a process can have that be root's (`task_dump_owner` of the kernel's fs/proc/base.c).
func effectiveUser(ofProcess pid: Int32) -> uid_t? {
    let line = lines(of: "/proc/\(pid)/status").first { $0.hasPrefix("Uid:") }
    let fields = line?.split(whereSeparator: \.isWhitespace) ?? []
    return fields.count > 2 ? uid_t(fields[2]) : nil
}

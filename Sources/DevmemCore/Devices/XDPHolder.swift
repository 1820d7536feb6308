import Glibc

/// Finds the process that holds an XDP program on an interface through a BPF link, which ip(8)
/// cannot detach, by searching proc_pid_fdinfo(5) (`bpf_link_show_fdinfo` of the kernel's
/// kernel/bpf/syscall.c); nil if there is none or it is not visible.
///
/// - Parameters:
///   - program: the program's id; 0 if there are several.
///   - interface: the index of an interface of this network namespace.
/// - Returns: the process id.
package func holderOfXDP(program: UInt32, on interface: UInt32) -> Int32? {
    var holders: [Int32] = []
    for pid in names(in: "/proc").compactMap({ Int32($0) }) {
        let folder = "/proc/\(pid)/fdinfo"
        let holds = names(in: folder).contains {
            isLink(lines(of: "\(folder)/\($0)"), of: interface, program: program)
        }
        if holds { holders.append(pid) }
    }
    return unambiguousHolder(holders, isProgramKnown: program != 0) {
        namespace(of: $0) == namespace(of: getpid())
    }
}

/// Chooses the holder among candidates if it is unambiguous. Another namespace may have an
/// interface of the same index, even with the same program; so of several candidates, or if the
/// program is unknown, only a single one of this namespace counts.
func unambiguousHolder(
    _ holders: [Int32], isProgramKnown: Bool = true, isHere: (Int32) -> Bool
) -> Int32? {
    if holders.count < 2 && isProgramKnown { return holders.first }
    let here = holders.filter(isHere)
    return here.count == 1 ? here[0] : nil
}

/// Returns whether fdinfo lines describe an XDP link on an interface.
///
/// - Parameters:
///   - lines: the lines.
///   - interface: the interface index, which is not unique across network namespaces.
///   - program: the program's id, which is unique; 0 if unknown.
/// - Returns: whether they match.
func isLink(_ lines: [Substring], of interface: UInt32, program: UInt32) -> Bool {
    var isXDP = false
    var isHere = false
    var isThis = program == 0
    for line in lines {
        let fields = line.split { $0 == ":" || $0.isWhitespace }
        guard fields.count == 2 else { continue }
        if fields[0] == "link_type" { isXDP = fields[1] == "xdp" }
        if fields[0] == "ifindex" { isHere = UInt32(fields[1]) == interface }
        if fields[0] == "prog_id", program != 0 { isThis = UInt32(fields[1]) == program }
    }
    return isXDP && isHere && isThis
}

/// Returns the network namespace of a process as device and inode; nil if the process is gone.
private func namespace(of pid: Int32) -> [UInt64]? {
    var status = stat()
    guard stat("/proc/\(pid)/ns/net", &status) == 0 else { return nil }
    return [UInt64(status.st_dev), UInt64(status.st_ino)]
}
